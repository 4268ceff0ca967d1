//! An object that is compared alone.

use std::str::FromStr;

use super::lists::{LISTS, List};

/// Stripe's limit, in characters.
const LENGTH_MAX: usize = 255;

/// The id of an object that can be compared alone: one whose id shows its kind.
#[derive(Clone, Debug)]
pub struct ObjectId {
    pub(super) list: &'static List,
    pub(super) id: String,
}

impl ObjectId {
    /// The object of a difference, by its kind and id (`subscription sub_1`); `None` if it cannot be compared alone.
    #[must_use]
    pub fn of_difference(object: &str) -> Option<Self> {
        let (kind, id) = object.split_once(' ')?;
        id.parse().ok().filter(|it: &Self| it.list.kind.as_str() == kind)
    }

    /// The id.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.id
    }

    /// What differences call the object.
    pub(super) fn name(&self) -> String {
        format!("{} {}", self.list.kind.as_str(), self.id)
    }
}

impl FromStr for ObjectId {
    type Err = String;

    fn from_str(id: &str) -> Result<Self, String> {
        let begins = |list: &&List| list.prefixes.iter().any(|prefix| id.starts_with(prefix));
        let is_id = id.len() <= LENGTH_MAX
            && id.chars().all(|it| it.is_ascii_alphanumeric() || matches!(it, '_' | '-'));
        match LISTS.iter().find(begins) {
            Some(list) if is_id => Ok(Self { list, id: id.to_owned() }),
            _ => {
                let prefixes: Vec<&str> = LISTS.iter().flat_map(|list| list.prefixes).copied().collect();
                Err(format!("expected an id of Stripe that begins with one of {}", prefixes.join(", ")))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kind_of_an_object_is_that_of_its_id() {
        for name in
            ["subscription sub_1", "invoice in_1", "invoice_payment inpay_1", "charge py_1", "refund pyr_1"]
        {
            assert_eq!(ObjectId::of_difference(name).map(|it| it.name()).as_deref(), Some(name));
        }
        for name in ["coupon SUMMER", "coupon sub_1", "discount di_1", "sub_1", "subscription sub_1/x"] {
            assert!(ObjectId::of_difference(name).is_none(), "{name}");
        }
        let unknown = "pi_1".parse::<ObjectId>().unwrap_err();
        assert!(
            unknown.contains("one of prod_, price_, plan_, cus_, sub_, in_, inpay_, ch_, py_, re_"),
            "{unknown}"
        );
    }
}
