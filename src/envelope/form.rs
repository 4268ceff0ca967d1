//! Parameters as Twilio sends them: a form, a query, or the same names in a JSON object.

use bytes::Bytes;
use serde_json::{Map, Value};

use super::fields::{Malformed, document};

/// Parameters in one request at most; Twilio sends about thirty.
const PARAMETERS_MAX: usize = 1000;

/// Names and values in their order of arrival, with repeated names.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// Parses a form, or a query string.
    ///
    /// # Errors
    /// If there are more than [`PARAMETERS_MAX`].
    pub fn from_form(form: &[u8]) -> Result<Self, Malformed> {
        let pairs = form_urlencoded::parse(form).map(|(name, value)| (name.into_owned(), value.into_owned()));
        let pairs: Vec<_> = pairs.take(PARAMETERS_MAX + 1).collect();
        if pairs.len() > PARAMETERS_MAX {
            return Err(Malformed::Invalid { field: "body", form: "a form of at most 1000 parameters" });
        }
        Ok(Self(pairs))
    }

    /// Parses a JSON object: strings, numbers and booleans, or arrays of them. Other values are ignored.
    ///
    /// # Errors
    /// If the body is not a JSON object.
    pub fn from_json(body: &[u8]) -> Result<Self, Malformed> {
        let object: Map<String, Value> = document(body)?;
        let mut pairs = Vec::new();
        for (name, value) in object {
            let values = if let Value::Array(values) = value { values } else { vec![value] };
            pairs.extend(values.iter().filter_map(text).map(|value| (name.clone(), value)));
        }
        Ok(Self(pairs))
    }

    /// The first value of this name that is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        let mut values = self.0.iter().filter(|(of, value)| of == name && !value.is_empty());
        values.next().map(|(_, value)| value.as_str())
    }

    /// Whether there is a parameter of this name, empty or not.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(of, _)| of == name)
    }

    /// Replaces the value of all parameters of this name.
    pub fn set(&mut self, name: &str, value: &str) {
        for (_, held) in self.0.iter_mut().filter(|(of, _)| of == name) {
            value.clone_into(held);
        }
    }

    /// All of them.
    #[must_use]
    pub fn pairs(&self) -> &[(String, String)] {
        &self.0
    }

    /// As a form.
    #[must_use]
    pub fn to_form(&self) -> String {
        form_urlencoded::Serializer::new(String::new()).extend_pairs(&self.0).finish()
    }

    /// As a JSON object by name; a repeated name has an array.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let mut object = Map::new();
        for (name, value) in &self.0 {
            let value = Value::String(value.clone());
            match object.get_mut(name) {
                None => drop(object.insert(name.clone(), value)),
                Some(Value::Array(values)) => values.push(value),
                Some(held) => *held = Value::Array(vec![held.take(), value]),
            }
        }
        Value::Object(object).to_string().into()
    }
}

fn text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(_) | Value::Bool(_) => Some(value.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn form_and_json_give_the_same_parameters() {
        let form =
            Parameters::from_form(b"Body=two+words%21&MediaUrl=a&NumMedia=2&MediaUrl=b&Empty=").unwrap();
        let json =
            br#"{"Body":"two words!","MediaUrl":["a","b"],"NumMedia":2,"Empty":"","Object":{},"Null":null}"#;
        let json = Parameters::from_json(json).unwrap();
        for parameters in [&form, &json] {
            assert_eq!(parameters.get("Body"), Some("two words!"));
            assert_eq!(parameters.get("NumMedia"), Some("2"));
            assert_eq!((parameters.get("Empty"), parameters.has("Empty")), (None, true));
            assert_eq!(parameters.to_json(), json.to_json());
        }
        assert!(!json.has("Object") && !json.has("Null"));
    }

    #[test]
    fn too_many_parameters_are_rejected() {
        assert!(Parameters::from_form("a=1&".repeat(1000).as_bytes()).is_ok());
        assert_eq!(Parameters::from_form("a=1&".repeat(1001).as_bytes()).unwrap_err().kind(), "body-invalid");
    }

    proptest! {
        #[test]
        fn parameters_round_trip_as_form_and_json(pairs in prop::collection::btree_map("[A-Za-z0-9]{1,9}", ".{0,30}", 0..9)) {
            let parameters = Parameters(pairs.into_iter().collect());
            prop_assert_eq!(&Parameters::from_form(parameters.to_form().as_bytes()).unwrap(), &parameters);
            prop_assert_eq!(&Parameters::from_json(&parameters.to_json()).unwrap(), &parameters);
        }

        #[test]
        fn any_bytes_do_not_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(parameters) = Parameters::from_form(&bytes) {
                prop_assert!(!parameters.to_json().is_empty());
            }
            Parameters::from_json(&bytes).ok();
        }
    }
}
