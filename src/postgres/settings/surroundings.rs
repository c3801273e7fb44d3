//! What libpq finds around a program: variables, the service file, the password file ("Environment Variables", "The
//! Connection Service File" and "The Password File" in the manual). The variables are given by the caller; files are read
//! here, small ones, and nothing that was read is shown.

use std::fs::File;
use std::io::{ErrorKind, Read};
use std::path::{Path, PathBuf};

use super::words::Said;
use super::{Host, Place, Secret, Settings, options};
use crate::error::Error;

/// Bytes of a file that we read: nobody writes more into one of these.
const LARGEST: u64 = 1 << 20;

/// Where the program runs.
pub(super) struct Surroundings<'a> {
    pub(super) variable: &'a dyn Fn(&str) -> Option<String>,
}

impl Surroundings<'_> {
    fn get(&self, name: &str) -> Option<String> {
        (self.variable)(name)
    }

    /// A file in the user's folder.
    fn at_home(&self, name: &str) -> Option<PathBuf> {
        // An own variable on Windows, and another folder.
        let (variable, folder) = if cfg!(windows) { ("APPDATA", "postgresql") } else { ("HOME", "") };
        self.get(variable).filter(|home| !home.is_empty()).map(|home| Path::new(&home).join(folder).join(name))
    }

    /// Adds what was not said: from the service file, from variables, from where things lie.
    pub(super) fn complete(&self, said: &mut Said) -> Result<(), Error> {
        if let Some(service) = said.get("service").cloned().or_else(|| self.get("PGSERVICE")) {
            self.add_service(&service, said)?;
        }
        for (keyword, variable) in options::variables() {
            if !said.contains_key(keyword)
                && let Some(value) = self.get(variable)
            {
                said.insert(keyword, value);
            }
        }
        if !said.contains_key("sslmode") && self.get("PGREQUIRESSL").is_some_and(|value| value.starts_with('1')) {
            said.insert("sslmode", "require".to_owned());
        }
        if said.get("user").is_none_or(String::is_empty) {
            let name =
                ["USER", "LOGNAME", "USERNAME"].iter().find_map(|name| self.get(name).filter(|it| !it.is_empty()));
            said.extend(name.map(|name| ("user", name)));
        }
        for (keyword, name) in
            [("sslrootcert", "root.crt"), ("sslcert", "postgresql.crt"), ("sslkey", "postgresql.key")]
        {
            let folder = if cfg!(windows) { "" } else { ".postgresql" };
            let path = self.at_home(&Path::new(folder).join(name).to_string_lossy()).filter(|path| path.is_file());
            // A certificate alone is of no use.
            let alone = keyword == "sslkey" && !said.contains_key("sslcert");
            if !alone
                && said.get(keyword).is_none_or(String::is_empty)
                && let Some(path) = path
            {
                said.insert(keyword, path.to_string_lossy().into_owned());
            }
        }
        Ok(())
    }

    /// Settings of the session that have variables and no keywords.
    pub(super) fn parameters(&self) -> Vec<(String, String)> {
        let named = [("PGDATESTYLE", "datestyle"), ("PGTZ", "timezone"), ("PGGEQO", "geqo")];
        let said = named.into_iter().filter_map(|(variable, name)| Some((name, self.get(variable)?)));
        // As libpq: the word for what the server has by itself.
        said.filter(|(_, value)| !value.eq_ignore_ascii_case("default"))
            .map(|(name, value)| (name.to_owned(), value))
            .collect()
    }

    /// `[service]`, and `keyword=value` below it, one a line. The user's own file, then the system's.
    fn add_service(&self, service: &str, said: &mut Said) -> Result<(), Error> {
        let own = match self.get("PGSERVICEFILE") {
            Some(path) => Some(PathBuf::from(path)),
            None => self.at_home(".pg_service.conf").filter(|path| path.is_file()),
        };
        let folder = self.get("PGSYSCONFDIR").unwrap_or_else(|| "/etc/postgresql-common".to_owned());
        let system = Some(Path::new(&folder).join("pg_service.conf")).filter(|path| path.is_file());
        for path in own.into_iter().chain(system) {
            if read_service(&path, service, said)? {
                return Ok(());
            }
        }
        Err(Error::invalid(format!("no service file has the service '{}'", service.escape_debug())))
    }

    /// Gives each host the password that the password file has for it.
    pub(super) fn passwords(&self, said: &Said, settings: &mut Settings) -> Result<(), Error> {
        if settings.hosts.iter().all(|host| host.password.is_some()) {
            return Ok(());
        }
        let named = said.get("passfile").filter(|path| !path.is_empty()).map(PathBuf::from);
        let own = if cfg!(windows) { "pgpass.conf" } else { ".pgpass" };
        let Some(path) = named.or_else(|| self.at_home(own)) else { return Ok(()) };
        let Some(text) = read_secrets(&path)? else { return Ok(()) };
        let (user, database) = (settings.user.clone(), settings.database().to_owned());
        for host in &mut settings.hosts {
            if host.password.is_none() {
                host.password = text.lines().find_map(|line| password(line, host, &database, &user)).map(Secret);
            }
        }
        Ok(())
    }
}

fn unreadable(path: &Path, error: std::io::Error) -> Error {
    Error::invalid(format!("{} cannot be read", path.display())).source_is(error)
}

fn read(file: File, path: &Path) -> Result<String, Error> {
    let mut text = String::new();
    file.take(LARGEST + 1).read_to_string(&mut text).map_err(|error| unreadable(path, error))?;
    if text.len() as u64 > LARGEST {
        return Err(Error::invalid(format!("{} is larger than 1 MiB", path.display())));
    }
    Ok(text)
}

fn read_service(path: &Path, service: &str, said: &mut Said) -> Result<bool, Error> {
    let text = read(File::open(path).map_err(|error| unreadable(path, error))?, path)?;
    let mut inside = false;
    for (at, line) in text.lines().enumerate() {
        let bad = |what: &str| Error::invalid(format!("line {} of {} {what}", at + 1, path.display()));
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        if let Some(name) = line.strip_prefix('[') {
            if inside {
                return Ok(true);
            }
            inside = name.strip_suffix(']') == Some(service);
        } else if inside {
            let (name, value) = line.split_once('=').ok_or_else(|| bad("has no '='"))?;
            if name == "service" {
                return Err(bad("names a service inside a service"));
            }
            let keyword = options::known(name).map_err(|_| bad("has an unknown option"))?;
            said.entry(keyword).or_insert_with(|| value.to_owned());
        }
    }
    Ok(inside)
}

/// The password file, if there is one that is one. Whoever else can read it makes it worthless: it is left alone, as libpq
/// does, and a login that needs it says that there is no password.
fn read_secrets(path: &Path) -> Result<Option<String>, Error> {
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::PermissionDenied) => return Ok(None),
        Err(error) => return Err(unreadable(path, error)),
    };
    let about = file.metadata().map_err(|error| unreadable(path, error))?;
    if !about.is_file() {
        log::warn!("the password file {} is not a plain file, and not read", path.display());
        return Ok(None);
    }
    #[cfg(unix)]
    if std::os::unix::fs::PermissionsExt::mode(&about.permissions()) & 0o077 != 0 {
        log::warn!("the password file {} can be read by others, and is not read: chmod 0600", path.display());
        return Ok(None);
    }
    read(file, path).map(Some)
}

/// `host:port:database:user:password`, each of the first four as it is or `*`; a backslash before a colon or a backslash.
fn password(line: &str, host: &Host, database: &str, user: &str) -> Option<String> {
    if line.starts_with('#') {
        return None;
    }
    let name = match &host.place {
        // The usual folder has the name that nobody gave.
        Place::Socket(folder) if *folder == Path::new("/var/run/postgresql") || *folder == Path::new("/tmp") => {
            "localhost"
        }
        Place::Socket(folder) => folder.to_str()?,
        Place::Host { name, .. } => name,
    };
    let port = host.port.to_string();
    let mut rest = line;
    for wanted in [name, &port, database, user] {
        let (field, after) = field(rest)?;
        if rest.strip_prefix("*:").is_none() && field != wanted {
            return None;
        }
        rest = after;
    }
    // What follows the password is part of it, but for the escapes, which end it at a colon.
    let mut secret = String::new();
    let mut letters = rest.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\\' => secret.extend(letters.next()),
            ':' => break,
            letter => secret.push(letter),
        }
    }
    Some(secret).filter(|secret| !secret.is_empty())
}

/// Up to the next colon that is not escaped, and what follows it.
fn field(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut letters = text.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            '\\' => value.extend(letters.next().map(|(_, letter)| letter)),
            ':' => return Some((value, &text[at + 1..])),
            letter => value.push(letter),
        }
    }
    None
}
