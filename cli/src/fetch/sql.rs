//! As much of SQL as it takes to know what a text asks for: its words outside of quotes and comments ("Lexical Structure" in
//! the manual). What it means is for the server to say.

/// It is one statement that copies what standard input has: `COPY … FROM STDIN`.
pub(super) fn copies_in(sql: &str) -> bool {
    let mut statements = statements(sql).into_iter().filter(|words| !words.is_empty());
    let (first, second) = (statements.next().unwrap_or_default(), statements.next());
    first.first().is_some_and(|word| word == "COPY")
        && first.windows(2).any(|pair| pair == ["FROM", "STDIN"])
        && second.is_none()
}

/// Something of it begins to listen.
pub(super) fn listens(sql: &str) -> bool {
    statements(sql).iter().any(|words| words.first().is_some_and(|word| word == "LISTEN"))
}

/// It as it may be shown: without what may be a password.
pub(super) fn shown(sql: &str) -> String {
    if !sql.to_ascii_uppercase().contains("PASS") {
        return sql.trim().escape_debug().to_string();
    }
    format!("{} …", statements(sql).into_iter().flatten().next().unwrap_or_default())
}

/// The words of all statements, in capital letters.
fn statements(sql: &str) -> Vec<Vec<String>> {
    let (mut all, mut words, mut rest) = (Vec::new(), Vec::new(), sql);
    while let Some(first) = rest.chars().next() {
        let letters = rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
        let used = match first {
            ';' => {
                all.push(std::mem::take(&mut words));
                1
            }
            '\'' => {
                let escapes = words.last().is_some_and(|word| word == "E");
                quoted(rest, first, escapes)
            }
            '"' => quoted(rest, first, false),
            '$' => dollars(rest).unwrap_or(1),
            '-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            '/' if rest.starts_with("/*") => comment(rest),
            _ if letters > 0 => {
                words.push(rest[..letters].to_ascii_uppercase());
                letters
            }
            _ => first.len_utf8(),
        };
        rest = &rest[used..];
    }
    all.push(words);
    all
}

/// The length of what stands in quotes at the front. Two in a row end one and begin another.
fn quoted(text: &str, quote: char, escapes: bool) -> usize {
    let mut letters = text.char_indices().skip(1);
    while let Some((at, letter)) = letters.next() {
        if letter == quote {
            return at + 1;
        }
        if escapes && letter == '\\' {
            letters.next();
        }
    }
    text.len()
}

/// The same between `$tag$` and `$tag$`.
fn dollars(text: &str) -> Option<usize> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[..end];
    let name = &tag[1..end - 1];
    let is_name = name.chars().all(|letter| letter.is_alphanumeric() || letter == '_')
        && !name.starts_with(|letter: char| letter.is_ascii_digit());
    is_name.then(|| text[end..].find(tag).map_or(text.len(), |length| end + length + end))
}

/// The length of a comment, which may have others inside.
fn comment(text: &str) -> usize {
    let (mut depth, mut at) = (0_usize, 0);
    while at < text.len() {
        let rest = &text.as_bytes()[at..];
        if rest.starts_with(b"/*") {
            (depth, at) = (depth + 1, at + 2);
        } else if rest.starts_with(b"*/") {
            (depth, at) = (depth - 1, at + 2);
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copies_in_is_known_by_its_words() {
        for (sql, expected) in [
            ("COPY t FROM STDIN", true),
            ("  copy \"FROM x\" (a, b) from stdin with (format csv);\n", true),
            ("/* a /* b */ ' */ COPY t FROM -- '\n STDIN", true),
            ("COPY t TO STDOUT", false),
            ("COPY t FROM 'FROM STDIN'", false),
            ("COPY (SELECT $$FROM STDIN$$, $a$ $$ FROM STDIN $a$) TO STDOUT", false),
            ("SELECT 1; COPY t FROM STDIN", false),
            ("COPY t FROM STDIN; SELECT 1", false),
            ("COPY t FROM E'\\' FROM STDIN'", false),
            ("COPY t FROM 'FROM STDIN", false),
            ("COPY t $FROM STDIN /* FROM", true),
            ("", false),
        ] {
            assert_eq!(copies_in(sql), expected, "{sql}");
        }
    }

    #[test]
    fn what_listens_is_known_and_passwords_are_not_shown() {
        assert!(listens("listen a") && listens("SELECT 1; LISTEN \"b\""));
        assert!(!listens("SELECT '; LISTEN a'") && !listens("SELECT listen") && !listens(""));
        assert_eq!(shown(" SELECT 1\n"), "SELECT 1");
        assert_eq!(shown("alter role me password 'hunter2'"), "ALTER …");
    }
}
