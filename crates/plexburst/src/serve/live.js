// Keeps the overview fresh. What is shown is put in as text, so that nothing a file is called can become markup.
"use strict";
(function () {
  const by = (id) => document.getElementById(id);
  const made = (name, text) => Object.assign(document.createElement(name), { textContent: text });
  const classes = { running: "good", waiting: "warn", unreached: "warn" };

  function draw(live) {
    by("state").textContent = live.state;
    by("state").className = "outcome " + (classes[live.state] || "idle");
    by("headline").textContent = live.headline;
    by("at").textContent = live.at;
    by("stale").textContent = "";
    by("rows").replaceChildren(...live.rows.flatMap((row) => [made("dt", row.label), made("dd", row.text)]));
    const notes = by("notes");
    const isAtEnd = notes.scrollTop + notes.clientHeight >= notes.scrollHeight - 4;
    notes.replaceChildren(...live.notes.map((note) => {
      const line = document.createElement("li");
      line.append(made("time", note.at), " " + note.text);
      return line;
    }));
    by("said").hidden = live.notes.length === 0;
    if (isAtEnd) notes.scrollTop = notes.scrollHeight;
    document.documentElement.dataset.fresh = live.at;
  }

  async function look() {
    try {
      const answer = await fetch("live.json", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const live = await answer.json();
      if (live.history !== by("live").dataset.history) {
        location.reload();
        return;
      }
      draw(live);
    } catch (error) {
      by("stale").textContent = "; plexburst serve does not answer any more";
    }
    setTimeout(look, 2000);
  }

  by("notes").scrollTop = by("notes").scrollHeight;
  look();
})();
