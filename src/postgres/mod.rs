//! PostgreSQL as a program asks it: where the server is and who one is there, statements and their parameters as values, and
//! rows as types of Rust. How bytes travel, and when a statement is sent, is the client's business and never belongs here.
