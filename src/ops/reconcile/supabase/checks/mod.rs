//! The comparisons, in SQL: each check has the stored values and the recounted ones, by member, campaign, ticket or text
//! message.

pub(super) mod campaigns;
pub(super) mod leads;
pub(super) mod mapped;
pub(super) mod members;
pub(super) mod messages;
pub(super) mod tickets;

use std::borrow::Cow;

use super::FixedBy;

/// What a check is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum About {
    Members,
    Campaigns,
    Tickets,
    Messages,
}

/// A comparison of stored rows with the same rows counted again.
pub(super) struct Check {
    /// The compared fields.
    pub fields: Vec<Field>,
    /// A table of the application that it reads.
    pub source: Option<&'static str>,
    pub about: About,
    pub fixed_by: FixedBy,
    /// The stored rows: `id`, and a column for each field.
    here: Cow<'static, str>,
    /// The same, counted again.
    recount: Cow<'static, str>,
}

/// A field of the rows.
pub(super) struct Field {
    pub name: Cow<'static, str>,
    column: Cow<'static, str>,
    /// The value that stands for no row.
    nothing: &'static str,
}

impl Check {
    /// A check of members.
    fn new(
        fixed_by: FixedBy,
        here: impl Into<Cow<'static, str>>,
        recount: impl Into<Cow<'static, str>>,
    ) -> Self {
        let (here, recount) = (here.into(), recount.into());
        Self { fields: Vec::new(), source: None, about: About::Members, fixed_by, here, recount }
    }

    fn about(self, about: About, source: &'static str) -> Self {
        Self { about, source: Some(source), ..self }
    }

    /// Of the column `value`.
    fn field(mut self, name: impl Into<Cow<'static, str>>, nothing: &'static str) -> Self {
        self.fields.push(Field { name: name.into(), column: Cow::Borrowed("value"), nothing });
        self
    }

    /// Columns of `table`, each named after itself.
    fn columns<C: Into<Cow<'static, str>>>(
        mut self,
        table: &str,
        nothing: &'static str,
        columns: impl IntoIterator<Item = C>,
    ) -> Self {
        self.fields.extend(columns.into_iter().map(|column| {
            let column = column.into();
            Field { name: Cow::Owned(format!("{table}.{column}")), column, nothing }
        }));
        self
    }

    /// The statement that selects `(id, place, here, recount)` of values that differ; `place` is the field's index.
    pub fn sql(&self) -> String {
        let Self { here, recount, .. } = self;
        let fields = self.fields.iter().enumerate().map(|(place, Field { column, nothing, .. })| {
            format!(
                "({place}, h.{column}::text, r.{column}::text,
                  coalesce(h.{column}, {nothing}) is distinct from coalesce(r.{column}, {nothing}))"
            )
        });
        format!(
            "select id, f.place, f.here, f.recount
             from ({here}) h full join ({recount}) r using (id)
             cross join lateral (values {}) f (place, here, recount, differs)
             where f.differs order by f.place, id",
            fields.collect::<Vec<_>>().join(", ")
        )
    }
}
