//! Types of columns as the configuration writes them.

use super::number::PRECISION_MAX;
use crate::actions::transform::table::ColumnType;
use crate::error::did_you_mean;
use crate::model::block::shown;

/// The types without parameters.
const PLAIN: [ColumnType; 6] =
    [ColumnType::Bool, ColumnType::Int, ColumnType::Float, ColumnType::Text, ColumnType::Date, ColumnType::Timestamp];

/// The type with this name.
///
/// # Errors
///
/// What is wrong with it, in one line.
pub fn column_type(text: &str) -> Result<ColumnType, String> {
    let text = text.trim();
    if let Some(kind) = PLAIN.into_iter().find(|kind| kind.name() == text) {
        return Ok(kind);
    }
    if let Some(rest) = text.strip_prefix("decimal") {
        return decimal(rest.trim()).ok_or_else(|| {
            format!(
                "a decimal is written decimal(12,2): digits in all, 1 to {PRECISION_MAX}, and of those behind the point, \
                 not: {}",
                shown(text)
            )
        });
    }
    let names: Vec<_> = PLAIN.iter().map(|kind| kind.name()).collect();
    Err(match did_you_mean(text, names.iter().map(String::as_str)).or_else(|| elsewhere(text)) {
        Some(name) => format!("unknown type, did you mean {name}: {}", shown(text)),
        None => format!("unknown type, use {} or decimal(12,2): {}", names.join(", "), shown(text)),
    })
}

fn decimal(parameters: &str) -> Option<ColumnType> {
    let (precision, scale) = parameters.strip_prefix('(')?.strip_suffix(')')?.split_once(',')?;
    let (precision, scale): (u8, u8) = (precision.trim().parse().ok()?, scale.trim().parse().ok()?);
    let is_possible = (1..=PRECISION_MAX).contains(&precision) && scale <= precision;
    is_possible.then_some(ColumnType::Decimal { precision, scale: i8::try_from(scale).ok()? })
}

/// What a type is called here that has another name in SQL and in other programs.
fn elsewhere(text: &str) -> Option<&'static str> {
    Some(match text.to_ascii_lowercase().as_str() {
        "integer" | "bigint" | "int64" | "int32" | "long" => "int",
        "double" | "real" | "float64" | "number" => "float",
        "string" | "varchar" | "str" | "utf8" => "text",
        "boolean" => "bool",
        "datetime" | "time" => "timestamp",
        "numeric" => "decimal(12,2)",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        let decimal = ColumnType::Decimal { precision: 38, scale: 0 };
        for kind in PLAIN.into_iter().chain([decimal, ColumnType::Decimal { precision: 12, scale: 2 }]) {
            assert_eq!(column_type(&kind.name()), Ok(kind));
        }
        assert_eq!(column_type(" decimal( 4 , 4 ) "), Ok(ColumnType::Decimal { precision: 4, scale: 4 }));
    }

    #[test]
    fn what_is_no_type_is_told_what_is_meant() {
        assert_eq!(column_type("flaot").unwrap_err(), "unknown type, did you mean float: \"flaot\"");
        assert_eq!(column_type("VARCHAR").unwrap_err(), "unknown type, did you mean text: \"VARCHAR\"");
        assert!(column_type("xyzzyxyzzy").unwrap_err().contains("use bool, int, float, text, date, timestamp or"));
        for text in ["decimal", "decimal(39,2)", "decimal(2,3)", "decimal(0,0)", "decimal(12)", "decimal(12,-2)"] {
            assert!(column_type(text).unwrap_err().starts_with("a decimal is written decimal(12,2)"), "{text}");
        }
    }
}
