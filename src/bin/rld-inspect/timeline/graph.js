// Who needs whom: objects in columns, each to the right of all that need it.
class Graph {
  static WIDE = 190;
  static TALL = 26;
  static ACROSS = 90;
  static DOWN = 10;

  // `nodes` have a name, a title and a class; `edges` are pairs of their places.
  constructor(nodes, edges, chosen) {
    this.nodes = nodes;
    this.chosen = chosen;
    this.targets = nodes.map(() => []);
    this.sources = nodes.map(() => []);
    for (const [from, to] of edges) {
      if (from !== to && !this.targets[from].includes(to)) {
        this.targets[from].push(to);
        this.sources[to].push(from);
      }
    }
    this.element = document.createElement("div");
    this.element.className = "graph";
    this.lay();
    this.draw();
  }

  // Columns by the longest way from a root; an edge that closes a circle does not count.
  lay() {
    const order = [];
    const state = new Uint8Array(this.nodes.length);
    this.back = new Set();
    const visit = (first) => {
      const path = [[first, 0]];
      state[first] = 1;
      while (path.length) {
        const top = path.at(-1);
        const next = this.targets[top[0]][top[1]++];
        if (next === undefined) {
          state[top[0]] = 2;
          order.push(top[0]);
          path.pop();
        } else if (state[next] === 0) {
          state[next] = 1;
          path.push([next, 0]);
        } else if (state[next] === 1) {
          this.back.add(`${top[0]} ${next}`);
        }
      }
    };
    this.nodes.forEach((_, at) => { if (!this.sources[at].length) visit(at); });
    this.nodes.forEach((_, at) => { if (!state[at]) visit(at); });
    order.reverse();
    const level = new Array(this.nodes.length).fill(0);
    for (const at of order) {
      for (const to of this.forward(at)) level[to] = Math.max(level[to], level[at] + 1);
    }
    this.edges = this.reduced(order);
    this.columns = [];
    for (const at of order) (this.columns[level[at]] ??= []).push(at);
    // An object stands at the mean height of its neighbours; a few rounds settle it.
    const height = new Array(this.nodes.length).fill(0);
    const place = (column) => column.forEach((at, row) => { height[at] = row - column.length / 2; });
    const settle = (column, neighbours) => {
      const mean = new Map(column.map((at) => {
        const near = neighbours[at];
        const sum = near.reduce((total, other) => total + height[other], 0);
        return [at, near.length ? sum / near.length : height[at]];
      }));
      column.sort((a, b) => mean.get(a) - mean.get(b));
      place(column);
    };
    this.columns.forEach(place);
    for (let round = 0; round < 6; round++) {
      this.columns.forEach((column) => settle(column, this.sources));
      this.columns.toReversed().forEach((column) => settle(column, this.targets));
    }
  }

  forward(at) {
    return this.targets[at].filter((to) => !this.back.has(`${at} ${to}`));
  }

  // Without edges that others imply: where A needs B and B needs C, that A needs C as well is not drawn.
  reduced(order) {
    const reach = this.nodes.map(() => new Set());
    const edges = [];
    for (const at of order.toReversed()) {
      const direct = this.forward(at);
      for (const to of direct) {
        if (!direct.some((other) => other !== to && reach[other].has(to))) edges.push([at, to]);
      }
      for (const to of direct) {
        reach[at].add(to);
        for (const far of reach[to]) reach[at].add(far);
      }
    }
    return edges;
  }

  draw() {
    const { WIDE, TALL, ACROSS, DOWN } = Graph;
    const make = (name, attributes, parent) => {
      const element = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
      parent?.append(element);
      return element;
    };
    const rows = Math.max(...this.columns.map((column) => column.length));
    const width = this.columns.length * (WIDE + ACROSS) - ACROSS + 4;
    const height = rows * (TALL + DOWN) + 4;
    this.svg = make("svg", { width, height, viewBox: `0 0 ${width} ${height}` }, this.element);
    const marker = make("marker", {
      id: "arrow", viewBox: "0 0 8 8", refX: 8, refY: 4, markerWidth: 7, markerHeight: 7, orient: "auto",
    }, make("defs", {}, this.svg));
    make("path", { d: "M0 0L8 4L0 8z" }, marker);
    const spot = [];
    this.columns.forEach((column, at) => {
      const top = (height - column.length * (TALL + DOWN) + DOWN) / 2;
      column.forEach((node, row) => {
        spot[node] = { x: 2 + at * (WIDE + ACROSS), y: top + row * (TALL + DOWN) };
      });
    });
    this.paths = this.edges.map(([from, to]) => {
      const [a, b] = [spot[from], spot[to]];
      const [x, y, u, v] = [a.x + WIDE, a.y + TALL / 2, b.x, b.y + TALL / 2];
      const bend = Math.max((u - x) / 2, 30);
      const d = `M${x} ${y}C${x + bend} ${y} ${u - bend} ${v} ${u} ${v}`;
      return make("path", { class: "edge", d, "marker-end": "url(#arrow)" }, this.svg);
    });
    this.boxes = this.nodes.map((node, at) => {
      const { x, y } = spot[at];
      const box = make("g", {
        class: `node ${node.kind}`, transform: `translate(${x} ${y})`, tabindex: 0, role: "button",
      }, this.svg);
      make("title", {}, box).textContent = node.title;
      make("rect", { width: WIDE, height: TALL, rx: 6 }, box);
      const text = make("text", { x: 9, y: TALL / 2 + 4 }, box);
      text.textContent = node.name.length > 27 ? `${node.name.slice(0, 26)}…` : node.name;
      const pick = () => this.pick(this.picked === at ? undefined : at);
      box.addEventListener("click", pick);
      box.addEventListener("keydown", (event) => { if (event.key === "Enter") pick(); });
      return box;
    });
  }

  // Shows what a node leads to, and what leads to it.
  pick(at) {
    this.picked = at;
    const near = new Set();
    const walk = (from, neighbours) => {
      const left = [from];
      const seen = new Set(left);
      while (left.length) {
        for (const next of neighbours[left.pop()]) {
          if (!seen.has(next)) {
            seen.add(next);
            left.push(next);
          }
        }
      }
      seen.forEach((node) => near.add(node));
    };
    if (at !== undefined) {
      walk(at, this.targets);
      walk(at, this.sources);
    }
    this.svg.classList.toggle("picked", at !== undefined);
    this.boxes.forEach((box, node) => {
      box.classList.toggle("near", near.has(node));
      box.classList.toggle("chosen", node === at);
    });
    this.edges.forEach(([from, to], edge) => {
      this.paths[edge].classList.toggle("near", near.has(from) && near.has(to));
    });
    this.chosen(at === undefined ? undefined : this.nodes[at]);
  }

  // Marks the nodes that have all words.
  filter(query) {
    const words = query.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    this.nodes.forEach((node, at) => {
      const fits = words.every((word) => node.title.toLowerCase().includes(word));
      this.boxes[at].classList.toggle("chosen", words.length > 0 && fits);
      count += fits;
    });
    return count;
  }
}
