//! Redis as a program asks it: where the server is and who one is there, commands as values, and what they answer as types
//! of Rust. How bytes travel, and when a command is sent, is the client's business and never belongs here.
