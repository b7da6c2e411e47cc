/** Server-sent events out of a stream of text that comes in any pieces. Pure. */

export interface Frame {
  id: string | null;
  event: string;
  data: string;
}

/** Takes text as it comes, and hands out the frames that are whole. */
export class Frames {
  #rest = "";
  #id: string | null = null;
  #event = "";
  #data: string[] = [];

  /** Return the frames that end in *text*, with what came before it. */
  take(text: string): Frame[] {
    const found: Frame[] = [];
    const lines = (this.#rest + text).split(/\r\n|\n|\r(?!$)/);
    this.#rest = lines.pop() ?? "";
    for (const line of lines) {
      if (line !== "") {
        this.#line(line);
      } else if (this.#data.length > 0 || this.#event !== "") {
        if (this.#data.length > 0) found.push({ id: this.#id, event: this.#event || "message", data: this.#data.join("\n") });
        this.#event = "";
        this.#data = [];
      }
    }
    return found;
  }

  #line(line: string): void {
    const colon = line.indexOf(":");
    if (colon === 0) return; // a comment: it says only that we are still heard
    const field = colon < 0 ? line : line.slice(0, colon);
    const value = colon < 0 ? "" : line.slice(colon + 1).replace(/^ /, "");
    if (field === "data") this.#data.push(value);
    else if (field === "event") this.#event = value;
    else if (field === "id" && !value.includes("\0")) this.#id = value;
  }
}
