//! `plexburst serve`: the live burst and the history as a page.

use std::net::{IpAddr, SocketAddr};

use super::{Context, print, print_json, quoted};
use crate::burst::store;
use crate::config::Settings;
use crate::depot::Depot;
use crate::distant::Machine;
use crate::error::Result;
use crate::exit;
use crate::serve::{self, Of, PORT, Server, Shown};

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
    let of = of(args.run.as_deref(), context).await?;
    if matches!(of, Of::Afar { .. }) {
        context.printer.clear();
    }
    let server = Server::open(args.listen, args.with_token, of).await?;
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
    tokio::select! {
        () = server.end() => {}
        () = crate::signal::interrupted() => {}
    }
    Ok(exit::DONE)
}

/// Whose bursts are meant: those of home's machine, unless one of this machine is named or they are asked for.
async fn of(run: Option<&str>, context: &Context) -> Result<Of> {
    let settings = context.settings()?;
    let is_of_here = run.is_some() && store::find(&settings.state_dir, run).is_ok();
    if settings.config.home.host.is_none() || context.here || is_of_here {
        return Ok(Of::Here(Box::new(shown(run, settings, context).await?)));
    }
    if store::all(&settings.state_dir).is_ok_and(|(known, _)| !known.is_empty()) {
        context
            .printer
            .say("bursts of archives on this machine: `plexburst --here serve`");
    }
    Ok(Of::Afar {
        machine: Box::new(Machine::reach(&settings.config, &context.printer).await?),
        settings: Box::new(settings),
        run: run.map(str::to_owned),
    })
}

/// What the page of this machine's bursts shows; `run` is the one that was named.
pub(super) async fn shown(run: Option<&str>, settings: Settings, context: &Context) -> Result<Shown> {
    serve::prove(&settings.state_dir)?;
    let burst = match run {
        None => None,
        Some(run) => Some(
            match super::elsewhere::only_there(&settings, Some(run), context).await? {
                Some(id) => id,
                None => store::find(&settings.state_dir, Some(run))?.request.id,
            },
        ),
    };
    Ok(Shown {
        depot: Depot::of(&settings.config.depot, "none", &context.printer),
        settings,
        burst,
    })
}
