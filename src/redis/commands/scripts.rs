//! Scripts and functions.

use super::*;

/// Keys with their number in front, and arguments.
fn with_keys<'a>(keys: impl ToArgs + 'a, args: impl ToArgs + 'a) -> impl ToArgs + 'a {
    struct WithKeys<K, A>(K, A);
    impl<K: ToArgs, A: ToArgs> ToArgs for WithKeys<K, A> {
        fn to_args(&self, args: &mut Args<'_>) {
            let mut keys = crate::protocols::redis::Words::new();
            self.0.to_args(&mut Args::new(&mut keys));
            args.add(keys.len());
            keys.iter().for_each(|key| args.word(key));
            args.add(&self.1);
        }
    }
    WithKeys(keys, args)
}

impl Redis {
    /// Runs a script with keys and arguments; see [`Script`](crate::redis::Script) for one that runs often. Reply: any.
    pub fn eval(&self, script: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
        self.command("EVAL", (script, with_keys(keys, args)))
    }

    /// Runs a script that the server knows, by its SHA-1. Reply: any, or the error NOSCRIPT.
    pub fn evalsha(&self, sha: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
        self.command("EVALSHA", (sha, with_keys(keys, args)))
    }

    /// Runs a function that the server knows (Redis 7). Reply: any.
    pub fn fcall(&self, function: impl ToArg, keys: impl ToArgs, args: impl ToArgs) -> Command {
        self.command("FCALL", (function, with_keys(keys, args)))
    }

    /// Gives the server a script to keep. Reply: string, its SHA-1.
    pub fn script_load(&self, script: impl ToArg) -> Command {
        self.command("SCRIPT LOAD", script)
    }

    /// Whether the server knows scripts, by their SHA-1. Reply: array of 1 and 0.
    pub fn script_exists(&self, shas: impl ToArgs) -> Command {
        self.command("SCRIPT EXISTS", shas)
    }

    /// The server forgets all scripts. Reply: OK.
    pub fn script_flush(&self) -> Command {
        self.command("SCRIPT FLUSH", ())
    }
}
