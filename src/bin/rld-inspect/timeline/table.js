"use strict";

// A table of any length: only the rows in view are elements.
//
// A column has a name, a width, `text(row)`, and a `key(row)` to sort by: a number. Rows are numbers from 0 to `count`.
class Table {
  static ROW = 26;

  constructor(columns, count, changed) {
    this.columns = columns;
    this.count = count;
    this.changed = changed;
    this.texts = new Array(count);
    this.rows = Uint32Array.from({ length: count }, (_, row) => row);
    this.sort = { column: 0, down: false };
    this.element = document.createElement("div");
    this.element.className = "table";
    this.element.setAttribute("role", "table");
    this.element.tabIndex = 0;
    this.head = this.line("columnheader", (column, cell, at) => {
      const button = document.createElement("button");
      button.type = "button";
      button.textContent = column.name;
      button.title = `Sort by ${column.name.toLowerCase()}`;
      button.addEventListener("click", () => {
        const down = this.sort.column === at ? !this.sort.down : Boolean(column.downFirst);
        this.order(at, down);
        this.changed();
      });
      cell.append(button);
    });
    this.head.classList.add("head");
    this.body = document.createElement("div");
    this.body.className = "body";
    this.body.setAttribute("role", "rowgroup");
    this.element.append(this.head, this.body);
    this.element.addEventListener("scroll", () => this.draw());
    new ResizeObserver(() => this.draw()).observe(this.element);
  }

  line(role, fill) {
    const line = document.createElement("div");
    line.className = "row";
    line.setAttribute("role", "row");
    line.style.gridTemplateColumns = this.columns.map((column) => column.width).join(" ");
    this.columns.forEach((column, at) => {
      const cell = document.createElement("div");
      cell.setAttribute("role", role);
      if (column.number) cell.classList.add("number");
      fill(column, cell, at);
      line.append(cell);
    });
    return line;
  }

  // The text of a row that the filter looks at, one cell behind the other.
  words(row) {
    return this.texts[row] ??= this.columns.map((column) => column.text(row).toLowerCase());
  }

  // Keeps the rows that have all words; `column:word` looks in one column.
  filter(query) {
    const conditions = query.toLowerCase().split(/\s+/).filter(Boolean).map((word) => {
      const colon = word.indexOf(":");
      const name = word.slice(0, Math.max(colon, 0)).replaceAll("-", " ");
      const at = this.columns.findIndex((column) => column.name.toLowerCase() === name);
      return at < 0 ? [-1, word] : [at, word.slice(colon + 1)];
    });
    const kept = [];
    for (let row = 0; row < this.count; row++) {
      const words = conditions.length ? this.words(row) : [];
      const fits = conditions.every(([at, word]) =>
        at < 0 ? words.some((text) => text.includes(word)) : words[at].includes(word));
      if (fits) kept.push(row);
    }
    this.rows = Uint32Array.from(kept);
    this.order(this.sort.column, this.sort.down);
  }

  order(column, down) {
    this.sort = { column, down };
    const { key } = this.columns[column];
    const keys = new Float64Array(this.count);
    for (const row of this.rows) keys[row] = key(row);
    const sign = down ? -1 : 1;
    this.rows.sort((a, b) => sign * (keys[a] - keys[b]) || a - b);
    [...this.head.children].forEach((cell, at) => {
      const way = down ? "descending" : "ascending";
      cell.setAttribute("aria-sort", at === column ? way : "none");
    });
    this.element.scrollTop = 0;
    this.drawn = undefined;
    this.draw();
  }

  draw() {
    const first = Math.max(0, Math.floor(this.element.scrollTop / Table.ROW) - 5);
    const room = this.element.clientHeight || 600;
    const last = Math.min(this.rows.length, first + Math.ceil(room / Table.ROW) + 10);
    if (this.drawn === `${first} ${last}`) return;
    this.drawn = `${first} ${last}`;
    this.element.setAttribute("aria-rowcount", this.rows.length);
    this.body.style.height = `${this.rows.length * Table.ROW}px`;
    const lines = [];
    for (let at = first; at < last; at++) {
      const row = this.rows[at];
      const line = this.line("cell", (column, cell) => {
        cell.textContent = column.text(row);
        cell.title = column.title ? column.title(row) : cell.textContent;
        const look = column.look?.(row);
        if (look) cell.classList.add(look);
      });
      line.style.top = `${at * Table.ROW}px`;
      lines.push(line);
    }
    if (!this.rows.length) {
      const empty = document.createElement("p");
      empty.className = "empty";
      empty.textContent = this.count ? "Nothing fits the filter." : "There was none.";
      lines.push(empty);
    }
    this.body.replaceChildren(...lines);
  }
}
