//! `plexburst serve`: the live burst and the history as a page.

use std::net::{IpAddr, SocketAddr};

use super::{Context, print, print_json, quoted};
use crate::burst::store;
use crate::depot::Depot;
use crate::error::{Error, Result};
use crate::exit;
use crate::serve::{self, PORT, Server, Shown};

/// Options of `serve`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The burst to show, by its id or the beginning or end of it; default: the one that is under way.
    run: Option<String>,
    /// Where to listen, an address with or without a port; any other than the loopback wants a token.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1", value_parser = address)]
    listen: SocketAddr,
    /// Want the token on the loopback, too.
    #[arg(long)]
    with_token: bool,
    /// One JSON object on stdout, with the address.
    #[arg(long)]
    json: bool,
}

fn address(text: &str) -> Result<SocketAddr, String> {
    let alone = || text.parse::<IpAddr>().map(|ip| SocketAddr::new(ip, PORT));
    text.parse::<SocketAddr>()
        .or_else(|_| alone())
        .map_err(|_| format!("it is an address such as 127.0.0.1, 192.168.1.5:{PORT} or [::1]:{PORT}"))
}

/// Runs it, until it is told to end.
pub(super) async fn run(args: &Args, context: &Context) -> Result<u8> {
    let settings = context.settings()?;
    if let Some(host) = settings.config.home.host.as_ref().filter(|_| !context.here) {
        return Err(Error::usage(format!(
            "the bursts of this home are on {host}, and this page shows those of its own machine"
        ))
        .hint(
            "`plexburst attach` shows the one that is under way; so does `plexburst --here serve BURST` where the depot is a \
             bucket or an SFTP host",
        ));
    }
    serve::prove(&settings.state_dir)?;
    let burst = match &args.run {
        None => None,
        Some(run) => Some(
            match super::elsewhere::only_there(&settings, Some(run), context).await? {
                Some(id) => id,
                None => store::find(&settings.state_dir, Some(run))?.request.id,
            },
        ),
    };
    let shown = Shown {
        depot: Depot::of(&settings.config.depot, "none", &context.printer),
        settings,
        burst,
    };
    let server = Server::open(args.listen, args.with_token, shown).await?;
    let url = format!("http://{}/", server.address);
    match (&server.token_file, args.json) {
        (file, true) => print_json(&serde_json::json!({ "url": url, "token_file": file }))?,
        (None, false) => print(&url)?,
        (Some(file), false) => {
            print(&url)?;
            let file = quoted(file);
            context.printer.say(&format!(
                "open it once with its token: {url}?token=$(cat {file}); whoever sees the traffic sees the page, so between \
                 machines that are not your own use `ssh -L`"
            ));
        }
    }
    tokio::select! {
        () = server.run() => {}
        () = crate::signal::interrupted() => {}
    }
    Ok(exit::DONE)
}
