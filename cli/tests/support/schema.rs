//! As much of JSON Schema as the schema of the report uses. What it does not know it refuses, so that nothing goes
//! unchecked.

use serde_json::Value;

/// Where and how `value` is not as `schema` says.
pub(crate) fn validate(value: &Value, schema: &Value) -> Result<(), String> {
    check(value, schema, schema, "report")
}

fn check(value: &Value, schema: &Value, root: &Value, at: &str) -> Result<(), String> {
    let rules = schema.as_object().ok_or(format!("{at}: the schema is no object"))?;
    for (rule, wanted) in rules {
        let bad = || Err(format!("{at}: {value} is not {rule} {wanted}"));
        match rule.as_str() {
            "$schema" | "title" | "description" | "$defs" => {}
            "$ref" => {
                let pointer = wanted.as_str().and_then(|path| path.strip_prefix('#')).expect("a local reference");
                check(value, root.pointer(pointer).expect("what is referred to"), root, at)?;
            }
            "const" if value == wanted => {}
            "type" => {
                let names: Vec<_> = wanted.as_array().map_or(vec![wanted], |names| names.iter().collect());
                if !names.iter().any(|name| is_of_type(value, name.as_str().unwrap())) {
                    return bad();
                }
            }
            "minimum" if value.as_f64().is_none_or(|number| number >= wanted.as_f64().unwrap()) => {}
            "required" => {
                for name in wanted.as_array().unwrap() {
                    if value.get(name.as_str().unwrap()).is_none() {
                        return Err(format!("{at} has no {name}"));
                    }
                }
            }
            "items" => {
                for item in value.as_array().into_iter().flatten() {
                    check(item, wanted, root, at)?;
                }
            }
            "properties" | "additionalProperties" => {
                for (name, inner) in value.as_object().into_iter().flatten() {
                    let known = rules.get("properties").and_then(|known| known.get(name));
                    // Stricter than the words: our own document has nothing that is not told.
                    let schema = known.or_else(|| rules.get("additionalProperties"));
                    check(inner, schema.ok_or(format!("{at}: {name} is not in the schema"))?, root, name)?;
                }
            }
            "anyOf" => {
                if !wanted.as_array().unwrap().iter().any(|one| check(value, one, root, at).is_ok()) {
                    return bad();
                }
            }
            "const" | "minimum" => return bad(),
            other => panic!("{at}: this test does not know {other}"),
        }
    }
    Ok(())
}

fn is_of_type(value: &Value, name: &str) -> bool {
    match name {
        "null" => value.is_null(),
        "boolean" => value.is_boolean(),
        "integer" => value.is_u64() || value.is_i64(),
        "number" => value.is_number(),
        "string" => value.is_string(),
        "array" => value.is_array(),
        "object" => value.is_object(),
        other => panic!("no type: {other}"),
    }
}
