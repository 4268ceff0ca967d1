//! Which columns of a list are shown: the address says it, or those that are usual.

/// A column that a list can show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::console) struct Known {
    /// In the address.
    pub key: &'static str,
    /// For people.
    pub title: &'static str,
    /// Of its cells, for the style sheet.
    pub class: &'static str,
    /// Whether it is shown where the address says nothing.
    pub is_usual: bool,
}

/// A column, and whether it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::console) struct Choice {
    pub key: &'static str,
    pub title: &'static str,
    pub class: &'static str,
    pub is_shown: bool,
}

/// A column that is usually shown.
pub(in crate::console) const fn usual(key: &'static str, title: &'static str) -> Known {
    Known { key, title, class: "", is_usual: true }
}

/// A column of numbers that is usually shown.
pub(in crate::console) const fn usual_number(key: &'static str, title: &'static str) -> Known {
    Known { key, title, class: "number", is_usual: true }
}

impl Known {
    /// The same, shown only where the address names it.
    pub(in crate::console) const fn on_demand(self) -> Self {
        Self { is_usual: false, ..self }
    }
}

/// Whether the column with this key is one of those that are shown.
pub(in crate::console) fn is_shown(choices: &[Choice], key: &str) -> bool {
    choices.iter().any(|choice| choice.key == key && choice.is_shown)
}

/// The `known` columns, those shown that `wanted` names, joined by commas. Unknown names are skipped: a view
/// that was saved may hold some of another version.
pub(in crate::console) fn chosen(known: &[Known], wanted: &str) -> Vec<Choice> {
    let is_wanted = |key: &str| wanted.split(',').any(|name| name == key);
    let says_nothing = !known.iter().any(|column| is_wanted(column.key));
    let choice = |column: &Known| Choice {
        key: column.key,
        title: column.title,
        class: column.class,
        is_shown: if says_nothing { column.is_usual } else { is_wanted(column.key) },
    };
    known.iter().map(choice).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_address_says_which_columns_are_shown_else_the_usual_ones_are() {
        let known = [("email", true), ("phone", false), ("mrr", true)];
        let known = known.map(|(key, is_usual)| Known { key, title: key, class: "", is_usual });
        let shown = |wanted: &str| -> Vec<&str> {
            chosen(&known, wanted).into_iter().filter(|it| it.is_shown).map(|it| it.key).collect()
        };
        assert_eq!(shown(""), ["email", "mrr"]);
        assert_eq!(shown("mrr,phone,gone"), ["phone", "mrr"]);
        assert_eq!(shown("gone"), ["email", "mrr"]);
    }
}
