//! What a schedule is called, and what is said of a text that is none.

use super::*;

#[test]
fn schedules_have_plain_words() {
    let table = [
        ("0 9 * * 1-5", "at 09:00, Monday to Friday"),
        ("30 2 * * *", "at 02:30"),
        ("15 30 2 * * *", "at 02:30:15"),
        ("*/15 * * * *", "every 15 minutes"),
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("@hourly", "every hour"),
        ("5 * * * *", "every hour at minute 5"),
        ("0 */2 * * *", "every 2 hours"),
        ("0 9-17 * * 1-5", "every hour from 09:00 to 17:00, Monday to Friday"),
        ("*/30 9-17 * * *", "every 30 minutes from 09:00 to 17:30"),
        ("0 9,12,18 * * *", "at 09:00, 12:00 and 18:00"),
        ("0 0,12 * * *", "at 00:00 and 12:00"),
        ("0 10 * * 0,6", "at 10:00, Saturday and Sunday"),
        ("0 10 * * 7", "at 10:00, Sunday"),
        ("@weekly", "at 00:00, Sunday"),
        ("@monthly", "at 00:00, on day 1 of the month"),
        ("0 0 1,15 * *", "at 00:00, on day 1 and 15 of the month"),
        ("@yearly", "at 00:00, on day 1 of the month, in January"),
        ("0 8 * jun-aug *", "at 08:00, in June to August"),
        // croner's words.
        ("0 18 L * *", "at 18:00, on the last day of the month"),
        ("0 18 * * 5L", "at 18:00, on the last Friday of the month"),
        ("0 0 13 * 5", "at 00:00, on day 13 or Friday"),
        ("0 0 15W * *", "at 00:00, on the weekday nearest day 15"),
    ];
    for (pattern, wanted) in table {
        assert_eq!(cron(pattern, "UTC").describe(), wanted, "{pattern}");
    }
    let said =
        |period: &str, aligned| (every(period, aligned, "UTC").describe(), every(period, aligned, "UTC").source());
    assert_eq!(said("15m", true), ("every 15 minutes, by the clock".into(), "every 15m, aligned".into()));
    assert_eq!(said("1h", false), ("every hour".into(), "every 1h".into()));
    assert_eq!(said("1h 30m", false), ("every 1 hour 30 minutes".into(), "every 1h 30m".into()));
    assert_eq!(said("24h", false), ("every day".into(), "every 1day".into()));
    assert_eq!(cron("  0  9 * * mon ", "UTC").source(), "0 9 * * mon");
}

#[test]
fn what_is_no_pattern_is_refused_where_it_is_wrong() {
    // A text, the part that is wrong, the message, and a part of the hint.
    let table = [
        ("", "", "the cron pattern is empty", "0 9 * * 1-5"),
        ("0 9 * *", "0 9 * *", "a cron pattern has 5 fields, or 6 with seconds first: this has 4", "minute, hour"),
        (
            "0 0 9 * * 1 2026",
            "0 0 9 * * 1 2026",
            "a cron pattern has 5 fields, or 6 with seconds first: this has 7",
            "",
        ),
        ("60 9 * * *", "60", "\"60\" cannot be the minute of a cron pattern", "0 to 59"),
        ("0 9 0 * *", "0", "\"0\" cannot be the day of the month of a cron pattern", "1 to 31"),
        ("0 9 * 13 *", "13", "\"13\" cannot be the month of a cron pattern", "JAN"),
        ("0 9 * * 8", "8", "\"8\" cannot be the day of the week of a cron pattern", "0 and 7 are Sunday"),
        ("0 9 * * thursday", "thursday", "\"thursday\" cannot be the day of the week of a cron pattern", "SUN to SAT"),
        ("0 9 * janfeb *", "janfeb", "\"janfeb\" cannot be the month of a cron pattern", "JAN"),
        ("mon 9 * * *", "mon", "\"mon\" cannot be the minute of a cron pattern", "*/15"),
        ("0 9 * * L", "L", "\"L\" cannot be the day of the week of a cron pattern", "5L"),
        ("0 22-6 * * *", "22-6", "\"22-6\" cannot be the hour of a cron pattern", "write 22-23,0-6"),
        ("0 9 * * fri-mon", "fri-mon", "\"fri-mon\" cannot be the day of the week of a cron pattern", "write 5-6,0-1"),
        ("0,,5 9 * * *", "0,,5", "an empty part in the minute: \"0,,5\"", "0 to 59"),
        ("5/10 * * * *", "5/10", "\"5/10\" cannot be the minute of a cron pattern", "*/15"),
        ("*/0 * * * *", "*/0", "\"*/0\" cannot be the minute of a cron pattern", "*/15"),
        ("0 0 30 2 *", "0 0 30 2 *", "this pattern never comes", "write L as the day"),
        ("0 0 31 4,6 *", "0 0 31 4,6 *", "this pattern never comes", "no such day"),
        ("@reboot", "@reboot", "@reboot is no time", "`every`"),
        ("@dayly", "@dayly", "unknown name: \"@dayly\"", "@daily"),
        ("0 9 * * \u{1b}[31m", "\u{1b}[31m", "\"\\u{1b}[31m\" cannot be the day of the week of a cron pattern", ""),
    ];
    for (text, part, message, hint) in table {
        let error = Cron::parse(text).expect_err(text);
        assert_eq!(error.message.replace("\\x1b", "\\u{1b}"), message, "{text}");
        assert_eq!(&text[error.span.clone()], part, "{text}");
        assert!(error.hint.contains(hint), "{text}: {}", error.hint);
    }
    assert!(Cron::parse(&"1,".repeat(500)).is_err_and(|e| e.message.contains("at most")));
}
