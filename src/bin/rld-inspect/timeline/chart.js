// The timeline: for each thread, bars below the bars that they are part of, and a row of ticks for bindings.
class Chart {
  static AXIS = 24;
  static BAR = 20;
  static TICKS = 12;
  static LABEL = 18;

  constructor(canvas, tip, chosen) {
    Object.assign(this, { canvas, tip, chosen });
    this.context = canvas.getContext("2d");
    canvas.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey || !event.shiftKey) {
        event.preventDefault();
        const wide = Math.abs(event.deltaX) > Math.abs(event.deltaY);
        if (wide) this.move(event.deltaX / canvas.clientWidth);
        else this.zoom(Math.exp(event.deltaY / 300), event.offsetX / canvas.clientWidth);
      }
    }, { passive: false });
    canvas.addEventListener("pointerdown", (event) => {
      canvas.setPointerCapture(event.pointerId);
      this.held = { x: event.offsetX, moved: false };
    });
    canvas.addEventListener("pointermove", (event) => this.pointed(event));
    canvas.addEventListener("pointerup", (event) => {
      canvas.classList.remove("moving");
      if (this.held && !this.held.moved) this.choose(this.at(event.offsetX, event.offsetY));
      this.held = undefined;
    });
    canvas.addEventListener("dblclick", (event) => {
      const bar = this.at(event.offsetX, event.offsetY);
      if (bar) this.show(bar.t, bar.t + bar.duration);
    });
    canvas.addEventListener("pointerleave", () => { tip.hidden = true; });
    canvas.addEventListener("keydown", (event) => {
      const act = {
        ArrowLeft: () => this.move(-.1),
        ArrowRight: () => this.move(.1),
        "+": () => this.zoom(.7),
        "=": () => this.zoom(.7),
        "-": () => this.zoom(1 / .7),
      }[event.key];
      if (act) {
        event.preventDefault();
        act();
      }
    });
    new ResizeObserver(() => this.draw()).observe(canvas.parentElement);
  }

  // `bars` in order of their beginnings, outer before inner; `ticks` are times by thread.
  load({ bars, ticks, begin, end, entry }) {
    Object.assign(this, { bars, ticks, begin, end: Math.max(end, begin + 1), entry, picked: undefined });
    const threads = [...new Set([...bars.map((bar) => bar.thread), ...ticks.keys()])];
    this.threads = [];
    let y = Chart.AXIS;
    for (const thread of threads) {
      const open = [];
      let depth = 0;
      for (const bar of bars) {
        if (bar.thread !== thread) continue;
        while (open.length && open.at(-1) <= bar.t) open.pop();
        bar.depth = open.length;
        bar.y = y + Chart.LABEL + bar.depth * Chart.BAR;
        open.push(bar.t + bar.duration);
        depth = Math.max(depth, open.length);
      }
      const below = y + Chart.LABEL + depth * Chart.BAR;
      const times = ticks.get(thread) ?? [];
      this.threads.push({ thread, y, below, times });
      y = below + (times.length ? Chart.TICKS + 4 : 0) + 6;
    }
    this.height = y;
    this.home();
  }

  // Up to the entry point, with some room behind; all, where there is none.
  home() {
    const end = this.entry ?? this.end;
    this.show(this.begin, Math.min(this.end, end + (end - this.begin) * .04));
  }

  show(from, to) {
    const least = 200;
    const all = (this.end - this.begin) * 1.02;
    const length = Math.min(Math.max(to - from, least), Math.max(all, least));
    const latest = this.begin + all - length;
    this.from = Math.max(this.begin - all * .01, Math.min(from, latest));
    this.to = this.from + length;
    this.draw();
  }

  zoom(factor, place = .5) {
    const still = this.from + (this.to - this.from) * place;
    this.show(still - (still - this.from) * factor, still + (this.to - still) * factor);
  }

  move(part) {
    const by = (this.to - this.from) * part;
    this.show(this.from + by, this.to + by);
  }

  at(x, y) {
    const t = this.from + (x / this.canvas.clientWidth) * (this.to - this.from);
    const slack = (this.to - this.from) / this.canvas.clientWidth * 2;
    const hit = (bar) => y >= bar.y && y < bar.y + Chart.BAR - 2
      && t >= bar.t - slack && t <= bar.t + bar.duration + slack;
    return this.bars.findLast(hit);
  }

  pointed(event) {
    const { offsetX, offsetY, clientX, clientY } = event;
    if (this.held) {
      const by = this.held.x - offsetX;
      if (this.held.moved || Math.abs(by) > 3) {
        this.canvas.classList.add("moving");
        this.move(by / this.canvas.clientWidth);
        this.held = { x: offsetX, moved: true };
      }
      this.tip.hidden = true;
      return;
    }
    const bar = this.at(offsetX, offsetY);
    this.tip.hidden = !bar;
    if (bar) {
      this.tip.textContent = bar.words;
      const { offsetWidth, offsetHeight } = this.tip;
      this.tip.style.left = `${Math.min(clientX + 14, innerWidth - offsetWidth - 8)}px`;
      this.tip.style.top = `${Math.min(clientY + 16, innerHeight - offsetHeight - 8)}px`;
    }
  }

  choose(bar) {
    this.picked = bar;
    this.chosen(bar);
    this.draw();
  }

  draw() {
    if (!this.bars || !this.canvas.clientWidth) return;
    const { canvas, context } = this;
    const ratio = devicePixelRatio || 1;
    const width = canvas.clientWidth;
    canvas.style.height = `${this.height}px`;
    canvas.width = width * ratio;
    canvas.height = this.height * ratio;
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(`--${name}`);
    const x = (t) => (t - this.from) / (this.to - this.from) * width;
    context.font = "12px system-ui, sans-serif";
    context.textBaseline = "middle";
    this.axis(colour, x, width);
    for (const { thread, y, below, times } of this.threads) {
      context.fillStyle = colour("quiet");
      context.fillText(thread.name, 2, y + Chart.LABEL / 2);
      if (times.length) this.drawTicks(times, below + 2, width, colour("relocate"));
    }
    for (const bar of this.bars) this.drawBar(bar, x, width, colour);
    if (this.entry !== undefined) {
      const at = Math.round(x(this.entry)) + .5;
      if (at >= 0 && at <= width) {
        context.strokeStyle = context.fillStyle = colour("accent");
        context.beginPath();
        context.moveTo(at, 0);
        context.lineTo(at, this.height);
        context.stroke();
        const words = "the program is entered";
        const room = context.measureText(words).width + 12;
        context.fillText(words, at + room < width ? at + 6 : at - room + 6, Chart.AXIS + Chart.LABEL / 2);
      }
    }
  }

  axis(colour, x, width) {
    const { context } = this;
    const rough = (this.to - this.from) / Math.max(width / 110, 1);
    const power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((times) => times * power).find((it) => it >= rough);
    const start = Math.max(0, Math.ceil((this.from - this.begin) / step));
    context.fillStyle = colour("quiet");
    context.strokeStyle = colour("line");
    context.beginPath();
    for (let count = start; this.begin + count * step <= this.to; count++) {
      const at = Math.round(x(this.begin + count * step)) + .5;
      context.moveTo(at, Chart.AXIS - 5);
      context.lineTo(at, this.height);
      context.fillText(time(count * step, step), at + 3, Chart.AXIS / 2 - 1);
    }
    context.stroke();
  }

  // Where many bindings share a pixel, the tick is darker.
  drawTicks(times, y, width, colour) {
    const { context } = this;
    const counts = new Uint32Array(width + 1);
    for (const t of times) {
      const at = Math.floor((t - this.from) / (this.to - this.from) * width);
      if (at >= 0 && at <= width) counts[at]++;
    }
    const most = counts.reduce((a, b) => Math.max(a, b), 1);
    context.fillStyle = colour;
    counts.forEach((count, at) => {
      if (!count) return;
      context.globalAlpha = .35 + .65 * count / most;
      context.fillRect(at, y, 1, Chart.TICKS);
    });
    context.globalAlpha = 1;
  }

  drawBar(bar, x, width, colour) {
    const { context } = this;
    const left = Math.max(x(bar.t), -2);
    const right = Math.min(x(bar.t + bar.duration), width + 2);
    if (right < 0 || left > width) return;
    const wide = Math.max(right - left, 1);
    const tall = Chart.BAR - 2;
    context.fillStyle = colour(bar.kind);
    context.globalAlpha = bar.ended ? 1 : .5;
    context.beginPath();
    context.roundRect(left, bar.y, wide, tall, Math.min(3, wide / 2));
    context.fill();
    context.globalAlpha = 1;
    if (bar === this.picked) {
      context.strokeStyle = colour("text");
      context.lineWidth = 2;
      context.stroke();
      context.lineWidth = 1;
    }
    if (wide < 30) return;
    context.save();
    context.beginPath();
    context.rect(left, bar.y, wide - 4, tall);
    context.clip();
    context.fillStyle = colour("on-bar");
    context.fillText(bar.label, left + 5, bar.y + tall / 2 + .5);
    context.restore();
  }
}
