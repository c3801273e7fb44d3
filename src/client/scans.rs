//! Scans of Redis that go on by themselves: each reply asks for the next.

use super::{BoxError, Client, Rejected, Request, RequestId};
use crate::protocols::redis::Value;
use crate::redis::{FromValue, Scan};

impl Client {
    /// Runs a scan to its end: the callback gets what each reply has, nothing perhaps, and the scan, which says whether it
    /// [is done](Scan::is_done). One command is on its way at a time, and its number is the first one's.
    ///
    /// What goes wrong is told the callback, and ends the scan: an [`Error`](crate::Error), or a
    /// [`ReadError`](crate::redis::ReadError) that has what the server said. An error of the callback is one of
    /// [`fetch_all`](Self::fetch_all).
    ///
    /// ```no_run
    /// use aquests::redis::{Redis, ScanOptions};
    ///
    /// let mut client = aquests::Client::new()?;
    /// let db = Redis::at("127.0.0.1:6379");
    /// client.scan(db.scan_keys(ScanOptions::new().matching("user:*")), |_, _, keys| {
    ///     let keys: Vec<String> = keys?;
    ///     println!("{keys:?}");
    ///     Ok(())
    /// })?;
    /// client.fetch_all()?;
    /// # Ok::<(), aquests::Error>(())
    /// ```
    pub fn scan<C: FromValue + Default + 'static>(
        &mut self,
        scan: Scan,
        callback: impl FnMut(&mut Client, &Scan, Result<C, BoxError>) -> Result<(), BoxError> + Send + 'static,
    ) -> Result<RequestId, Rejected> {
        go_on(self, scan, callback)
    }
}

fn go_on<C, F>(client: &mut Client, scan: Scan, callback: F) -> Result<RequestId, Rejected>
where
    C: FromValue + Default + 'static,
    F: FnMut(&mut Client, &Scan, Result<C, BoxError>) -> Result<(), BoxError> + Send + 'static,
{
    // One that is at its end begins anew.
    let scan = scan.begun();
    let request = scan.next_command().map_or_else(|| Request::get(""), Request::from);
    let mut state = Some((scan, callback));
    client.send(request.callback(move |client, outcome| {
        let Some((mut scan, mut callback)) = state.take() else { return Ok::<_, BoxError>(()) };
        let items = match outcome.into_result() {
            Ok(response) => scan.take(response.into_replies().pop().unwrap_or(Value::Null)).map_err(BoxError::from),
            Err(error) => Err(error.into()),
        };
        let over = items.is_err() || scan.is_done();
        callback(client, &scan, items)?;
        if !over {
            go_on(client, scan, callback).map_err(crate::Error::from)?;
        }
        Ok(())
    }))
}
