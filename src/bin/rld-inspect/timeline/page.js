// The page: what the data say, as tiles, timeline and lists. The address's part behind `#` says what is shown.
const data = JSON.parse(document.getElementById("data").textContent);
const find = (id) => document.getElementById(id);
const string = (place) => data.strings[place];

// So that text can be sorted by number: each string's place in the order of all.
const ranks = (() => {
  const places = data.strings.map((_, place) => place);
  const folded = data.strings.map((text) => text.toLowerCase());
  places.sort((a, b) => (folded[a] < folded[b] ? -1 : folded[a] > folded[b] ? 1 : 0));
  const ranks = new Uint32Array(places.length);
  places.forEach((place, rank) => { ranks[place] = rank; });
  return ranks;
})();

// Nanoseconds for people. `step` says how far times on an axis are apart.
function time(ns, step = ns / 100) {
  const units = [[1e9, "s"], [1e6, "ms"], [1e3, "µs"], [1, "ns"]];
  const [unit, name] = units.find(([unit]) => Math.abs(ns) >= unit) ?? units[3];
  const digits = Math.max(0, Math.min(3, Math.ceil(-Math.log10(Math.max(step, 1e-9) / unit) - 1e-9)));
  return `${(ns / unit).toFixed(unit === 1 ? 0 : digits)} ${name}`;
}

const number = (count) => count.toLocaleString("en-US").replaceAll(",", "\u2009");
const bytes = (size) => (size < 1 << 20 ? `${(size / 1024).toFixed(0)} KiB` : `${(size / (1 << 20)).toFixed(1)} MiB`);
const base = (path) => path.slice(path.lastIndexOf("/", path.length - 2) + 1) || path;

const KINDS = {
  search: "looking for libraries",
  map: "mapping them",
  relocate: "relocating, binding symbols",
  initialiser: "initialisers",
  finaliser: "finalisers",
  dlopen: "dlopen",
  dlclose: "dlclose",
};

// When a binding is made, where the trace's word is not plain.
const OCCASIONS = { call: "first call", loader: "by the loader" };

// What the lists are about, for those who meet the words for the first time.
const ABOUT = {
  objects: "The program and its libraries, with where each lies in memory and what it cost. Relocation "
    + "writes the addresses that are only known now; initialisers are its own code that runs before main.",
  dependencies: "An arrow leads from an object to one that it needs (DT_NEEDED). Arrows that others imply are left "
    + "out. Dashed: opened with dlopen while the program ran. Click an object to see all that it needs and that needs it.",
  bindings: "A binding connects a reference in one object with the definition of that symbol in another. Most "
    + "functions are bound when they are first called.",
  searches: "Every file that was tried for a library, with the rule that led there. Many misses before a hit make "
    + "starts slow where file systems are slow.",
  versions: "An object says which versions of symbols it needs of a library; each must be defined there.",
};

// A process with all that is shown of it, worked out once.
class Run {
  constructor(raw) {
    Object.assign(this, raw);
    this.name = string(raw.program);
    this.origin = raw.begin;
    this.lists = {};
    this.objects = this.gather();
  }

  // Objects by name; one that is unloaded and opened again is the same here.
  gather() {
    const objects = new Map();
    const object = (place) => {
      if (!objects.has(place)) {
        objects.set(place, {
          place, name: string(place), address: "", size: 0, mapped: -1, rule: "", requester: 0,
          search: 0, map: 0, relocate: 0, initialiser: 0, uses: 0, serves: 0,
        });
      }
      return objects.get(place);
    };
    const [times, paths, addresses, sizes] = this.maps;
    paths.forEach((path, at) => {
      Object.assign(object(path), { address: string(addresses[at]), size: sizes[at], mapped: times[at] });
    });
    const [, , kinds, subjects, durations, , notes] = this.spans;
    subjects.forEach((subject, at) => {
      const kind = string(kinds[at]);
      if (kind === "search" && objects.has(notes[at])) object(notes[at]).search += durations[at];
      else if (["map", "relocate", "initialiser"].includes(kind)) object(subject)[kind] += durations[at];
    });
    const [, , requesters, tried, rules, owners, found] = this.attempts;
    tried.forEach((path, at) => {
      if (found[at] && objects.has(path) && !object(path).rule) {
        const owner = owners[at] ? ` of ${base(string(owners[at]))}` : "";
        Object.assign(object(path), { rule: string(rules[at]) + owner, requester: requesters[at] });
      }
    });
    const [, , from, to] = this.bindings;
    for (let at = 0; at < from.length; at++) {
      object(from[at]).uses++;
      object(to[at]).serves++;
    }
    return [...objects.values()];
  }

  // The time to the entry point, by what it went into. A bar inside another one counts for itself, not for that.
  shares() {
    const limit = this.entry ?? this.end;
    const shares = new Map();
    const main = this.spans[1][0];
    const open = [];
    const [times, threads, kinds, , durations] = this.spans;
    times.forEach((t, at) => {
      if (threads[at] !== main || t >= limit) return;
      const length = Math.min(durations[at], limit - t);
      while (open.length && open.at(-1).end <= t) open.pop();
      const kind = string(kinds[at]);
      shares.set(kind, (shares.get(kind) ?? 0) + length);
      if (open.length) shares.set(open.at(-1).kind, shares.get(open.at(-1).kind) - length);
      open.push({ end: t + length, kind });
    });
    return shares;
  }

  bars() {
    const [times, threads, kinds, subjects, durations, ended, notes] = this.spans;
    return times.map((t, at) => {
      const kind = string(kinds[at]);
      const subject = string(subjects[at]);
      const verb = { initialiser: "initialise", finaliser: "finalise", search: "find" }[kind] ?? kind;
      const end = ended[at] ? time(durations[at]) : "did not return";
      const words = `${verb} ${subject}\n${end}, ${time(t - this.origin)} after the start`
        + (notes[at] ? `\n${string(notes[at])}` : "");
      return {
        t, duration: durations[at], thread: this.thread(threads[at]), kind, ended: ended[at],
        label: `${verb} ${base(subject)}`, words, object: subjects[at],
      };
    });
  }

  // One object for each thread, so that it can be a key.
  thread(tid) {
    this.threads ??= new Map();
    if (!this.threads.has(tid)) {
      this.threads.set(tid, { tid, name: tid === this.pid ? `thread ${tid} (main)` : `thread ${tid}` });
    }
    return this.threads.get(tid);
  }

  ticks() {
    const ticks = new Map();
    const [times, threads] = this.bindings;
    times.forEach((t, at) => {
      const thread = this.thread(threads[at]);
      if (!ticks.has(thread)) ticks.set(thread, []);
      ticks.get(thread).push(t);
    });
    return ticks;
  }

  when(t) {
    return time(t - this.origin, 1000);
  }

  // The columns of a list, and how many rows it has.
  columns(list) {
    const text = (name, width, column, more) => ({
      name, width, text: (row) => string(column[row]), key: (row) => ranks[column[row]], ...more,
    });
    const path = (name, width, column, more) => text(name, width, column, {
      text: (row) => base(string(column[row])), title: (row) => string(column[row]), ...more,
    });
    const since = (column) => ({
      name: "Time", width: "6rem", number: true, text: (row) => this.when(column[row]), key: (row) => column[row],
    });
    switch (list) {
      case "objects": {
        const { objects } = this;
        const spent = (name, field) => ({
          name, width: "5.5rem", number: true, downFirst: true, key: (row) => objects[row][field],
          text: (row) => (objects[row][field] ? time(objects[row][field]) : "–"),
        });
        const counted = (name, field) => ({
          name, width: "5.5rem", number: true, downFirst: true, key: (row) => objects[row][field],
          text: (row) => number(objects[row][field]),
        });
        return [[
          {
            name: "Address", width: "8.5rem", text: (row) => objects[row].address || "–",
            key: (row) => objects[row].mapped,
          },
          {
            name: "Object", width: "minmax(10rem, 3fr)", title: (row) => objects[row].name,
            text: (row) => objects[row].name,
            key: (row) => ranks[objects[row].place],
          },
          {
            name: "Found by", width: "minmax(6rem, 1fr)", text: (row) => objects[row].rule || "–",
            key: (row) => objects[row].rule.length,
          },
          {
            name: "For", width: "minmax(6rem, 1fr)", key: (row) => ranks[objects[row].requester],
            text: (row) => base(string(objects[row].requester)) || "–",
            title: (row) => string(objects[row].requester),
          },
          {
            name: "Size", width: "5rem", number: true, downFirst: true, key: (row) => objects[row].size,
            text: (row) => (objects[row].size ? bytes(objects[row].size) : "–"),
          },
          spent("Search", "search"), spent("Map", "map"), spent("Relocate", "relocate"),
          spent("Initialise", "initialiser"), counted("Uses", "uses"), counted("Serves", "serves"),
        ], objects.length];
      }
      case "bindings": {
        const [times, , from, to, symbols, versions, how] = this.bindings;
        return [[
          since(times),
          text("Symbol", "minmax(12rem, 3fr)", symbols),
          text("Version", "minmax(6rem, 1fr)", versions),
          path("Used by", "minmax(8rem, 2fr)", from),
          path("Defined in", "minmax(8rem, 2fr)", to),
          {
            name: "When", width: "6.5rem", key: (row) => how[row],
            text: (row) => OCCASIONS[string(how[row])] ?? string(how[row]),
          },
        ], times.length];
      }
      case "searches": {
        const [times, names, requesters, paths, rules, owners, found, whys] = this.attempts;
        return [[
          since(times),
          text("Library", "minmax(8rem, 2fr)", names),
          path("For", "minmax(7rem, 1fr)", requesters),
          {
            name: "Rule", width: "minmax(8rem, 2fr)", key: (row) => ranks[rules[row]],
            text: (row) => string(rules[row]) + (owners[row] ? ` of ${base(string(owners[row]))}` : ""),
          },
          text("File", "minmax(14rem, 4fr)", paths),
          {
            name: "Outcome", width: "minmax(9rem, 2fr)", key: (row) => (found[row] ? -1 : ranks[whys[row]]),
            text: (row) => (found[row] ? "found" : string(whys[row])),
            look: (row) => (found[row] ? undefined : "quiet"),
          },
        ], times.length];
      }
      default: {
        const [times, objects, versions, libraries] = this.versions;
        return [[
          since(times),
          path("Object", "minmax(8rem, 2fr)", objects),
          text("Version", "minmax(8rem, 2fr)", versions),
          path("Needed of", "minmax(8rem, 2fr)", libraries),
        ], times.length];
      }
    }
  }

  graph(chosen) {
    const [from, , to] = this.needed;
    const places = new Map();
    const nodes = [];
    const node = (place) => {
      if (!places.has(place)) {
        places.set(place, nodes.length);
        nodes.push({ name: base(string(place)), title: string(place), kind: "", place });
      }
      return places.get(place);
    };
    const edges = from.map((object, at) => [node(object), node(to[at])]);
    const [, , kinds, , , , notes] = this.spans;
    kinds.forEach((kind, at) => {
      if (string(kind) === "dlopen" && places.has(notes[at])) nodes[places.get(notes[at])].kind = "opened";
    });
    if (nodes.length) nodes[0].kind = "root";
    return nodes.length ? new Graph(nodes, edges, chosen) : undefined;
  }
}

const runs = data.processes.map((raw) => new Run(raw));
const state = { process: 0, view: "objects", q: "", sort: "" };
const chart = new Chart(document.querySelector("#chart canvas"), find("tip"), (bar) => {
  find("detail").textContent = bar ? bar.words.replaceAll("\n", " · ") : "";
});

// Reads the address; what is not said is as at first.
function read() {
  const given = new URLSearchParams(location.hash.slice(1));
  const process = Number(given.get("process") ?? 0);
  state.process = runs[process] ? process : 0;
  state.view = given.get("view") in ABOUT ? given.get("view") : "objects";
  state.q = given.get("q") ?? "";
  state.sort = given.get("sort") ?? "";
}

// Writes it, so that what is seen can be passed on.
function write() {
  const said = Object.entries(state).filter(([key, value]) => value && !(key === "view" && value === "objects"));
  history.replaceState(null, "", `#${new URLSearchParams(said)}`);
}

function showProcess() {
  const run = runs[state.process];
  find("title").textContent = base(run.name);
  document.title = `${base(run.name)} – rld timeline`;
  find("command").textContent = run.arguments.map(string).join(" ");
  find("command").title = find("command").textContent;
  find("errors").hidden = !run.errors.length;
  find("errors").textContent = run.errors.map(string).join("\n");
  const { attempts, bindings } = run;
  const misses = attempts[6].filter((found) => !found).length;
  const lazy = bindings[6].filter((how) => string(how) === "call").length;
  const opened = run.spans[2].filter((kind) => string(kind) === "dlopen").length;
  const tiles = [
    [run.entry === undefined || run.entry === null ? "–" : time(run.entry - run.origin), "to the entry point"],
    [number(run.maps[0].length), "objects"],
    [number(bindings[0].length), lazy ? `bindings, ${number(lazy)} at first calls` : "bindings"],
    [number(attempts[0].length), `files tried, ${number(misses)} in vain`],
    [number(opened), "dlopen calls"],
  ];
  find("tiles").replaceChildren(...tiles.map(([value, name]) => {
    const tile = document.createElement("div");
    tile.append(Object.assign(document.createElement("dt"), { textContent: name }));
    tile.append(Object.assign(document.createElement("dd"), { textContent: value }));
    return tile;
  }));
  showShares(run);
  chart.load({
    bars: run.bars(), ticks: run.ticks(), begin: run.begin, end: run.end, entry: run.entry ?? undefined,
  });
  showList();
}

function showShares(run) {
  const total = Math.max((run.entry ?? run.end) - run.origin, 1);
  const shares = [...run.shares()].filter(([, ns]) => ns > 0);
  const known = shares.reduce((sum, [, ns]) => sum + ns, 0);
  shares.push(["other", Math.max(total - known, 0)]);
  const parts = [];
  const legend = [];
  for (const [kind, ns] of shares) {
    const name = KINDS[kind] ?? "everything else";
    const share = (100 * ns / total).toFixed(ns / total < .1 ? 1 : 0);
    const part = document.createElement("span");
    part.style.cssText = `flex: ${ns} 0 0; background: var(--${kind})`;
    part.title = `${name}: ${time(ns)}, ${share} %`;
    parts.push(part);
    const line = document.createElement("li");
    const mark = document.createElement("i");
    mark.style.background = `var(--${kind})`;
    const value = document.createElement("b");
    value.textContent = `${time(ns)}`;
    line.append(mark, `${name} `, value);
    legend.push(line);
  }
  find("share").replaceChildren(...parts);
  find("share").setAttribute("aria-label", `Where the time went: ${parts.map((part) => part.title).join("; ")}`);
  find("legend").replaceChildren(...legend);
}

function showList() {
  const run = runs[state.process];
  for (const tab of find("tabs").children) tab.setAttribute("aria-selected", tab.dataset.view === state.view);
  find("about").textContent = ABOUT[state.view];
  find("filter").value = state.q;
  let list = run.lists[state.view];
  if (!list) {
    if (state.view === "dependencies") {
      list = run.graph((node) => { find("detail").textContent = node ? node.title : ""; });
    } else {
      const [columns, count] = run.columns(state.view);
      list = new Table(columns, count, () => {
        const { column, down } = list.sort;
        state.sort = (down ? "-" : "") + columns[column].name.toLowerCase().replaceAll(" ", "-");
        write();
      });
    }
    run.lists[state.view] = list;
  }
  if (!list) {
    const empty = Object.assign(document.createElement("p"), { className: "empty" });
    empty.textContent = "There was none.";
    find("panel").replaceChildren(empty);
    find("count").textContent = "";
    return;
  }
  find("panel").replaceChildren(list.element);
  if (list instanceof Table) {
    const name = state.sort.replace(/^-/, "").replaceAll("-", " ");
    const column = list.columns.findIndex((it) => it.name.toLowerCase() === name);
    list.sort = { column: Math.max(column, 0), down: column >= 0 && state.sort.startsWith("-") };
  }
  showFilter();
}

function showFilter() {
  const list = runs[state.process].lists[state.view];
  if (list instanceof Table) {
    list.filter(state.q);
    const shown = list.rows.length;
    find("count").textContent = shown === list.count ? number(shown) : `${number(shown)} of ${number(list.count)}`;
  } else if (list) {
    find("count").textContent = `${number(list.filter(state.q))} of ${number(list.nodes.length)}`;
  }
}

for (const view of Object.keys(ABOUT)) {
  const tab = document.createElement("button");
  tab.type = "button";
  tab.textContent = view[0].toUpperCase() + view.slice(1);
  tab.dataset.view = view;
  tab.setAttribute("role", "tab");
  tab.addEventListener("click", () => {
    Object.assign(state, { view, sort: "" });
    write();
    showList();
  });
  find("tabs").append(tab);
}

runs.forEach((run, at) => {
  const parent = run.parent === null ? "" : `, child of ${run.parent}`;
  find("process").append(new Option(`${run.pid} ${base(run.name)}${parent}`, at));
});
find("which").hidden = runs.length < 2;
find("process").addEventListener("change", (event) => {
  state.process = Number(event.target.value);
  write();
  showProcess();
});
find("filter").addEventListener("input", (event) => {
  state.q = event.target.value;
  write();
  showFilter();
});
find("to-start").addEventListener("click", () => chart.home());
find("to-all").addEventListener("click", () => chart.show(chart.begin, chart.end));
find("zoom-in").addEventListener("click", () => chart.zoom(.5));
find("zoom-out").addEventListener("click", () => chart.zoom(2));

// Light or dark as the reader's system has it, until the button is pressed.
const dark = matchMedia("(prefers-color-scheme: dark)");
const setDark = (is) => {
  document.documentElement.classList.toggle("dark", is);
  chart.draw();
};
setDark(dark.matches);
dark.addEventListener("change", (event) => setDark(event.matches));
find("theme").addEventListener("click", () => setDark(!document.documentElement.classList.contains("dark")));

function showAll() {
  read();
  find("process").value = state.process;
  showProcess();
}
addEventListener("hashchange", showAll);
showAll();
