/** File names are bytes; the API shows them as text and, where that is not all of it, as base64 beside it. Pure. */

export interface Name {
  text: string;
  /** Standard base64 of the bytes, where they are no UTF-8. */
  b64?: string;
}

/** Return the name in *item*'s field, with the bytes beside it where there are such. */
export function nameIn(item: object, field: string): Name {
  const fields = item as Record<string, unknown>;
  const text = String(fields[field] ?? "");
  const b64 = fields[`${field}_b64`];
  return typeof b64 === "string" ? { text, b64 } : { text };
}

/** Return the fields of a request body that stand for *name*. */
export function inBody(name: Name, field = "path"): Record<string, string> {
  return name.b64 === undefined ? { [field]: name.text } : { [field]: name.text, [`${field}_b64`]: name.b64 };
}

/** Return *name*'s very bytes, percent-encoded for a query. */
export function inQuery(name: Name): string {
  if (name.b64 === undefined) return encodeURIComponent(name.text);
  return [...bytesOf(name)].map((byte) => `%${byte.toString(16).padStart(2, "0")}`).join("");
}

export function bytesOf(name: Name): Uint8Array {
  if (name.b64 === undefined) return new TextEncoder().encode(name.text);
  return Uint8Array.from(atob(name.b64), (each) => each.charCodeAt(0));
}

export function sameName(one: Name | null, other: Name | null): boolean {
  return one?.text === other?.text && one?.b64 === other?.b64;
}

/** A piece of a name as it is shown: as it is, or a visible sign for what would not be seen, or would move the rest. */
export interface Piece {
  text: string;
  escaped: boolean;
}

const PLAIN = /^(?:[!-~]| (?=[^/]))*$/;
const UNSEEN = /[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}\u115f\u1160\u3164\uffa0\ufe00-\ufe0f]|(?! )\p{Zs}/u;
const JOINERS = /^[\u200c\u200d\ufe0f]$/;
const PICTURE = /\p{Extended_Pictographic}|[\u{1f3fb}-\u{1f3ff}\ufe0f]/u;
const RIGHT_TO_LEFT = /[\u0590-\u08ff\ufb1d-\ufdff\ufe70-\ufeff\u{10800}-\u{10fff}\u{1e800}-\u{1efff}]/u;
const SHORT: Record<string, string> = { "\n": "\\n", "\r": "\\r", "\t": "\\t", "\0": "\\0" };

/** Return *name* in pieces that are safe to be shown one after the other, each isolated from its neighbours. */
export function pieces(name: Name): Piece[] {
  const shown = name.b64 === undefined ? escapedText(name.text) : escapedBytes(bytesOf(name));
  return shown.flatMap((piece) => (piece.escaped || !RIGHT_TO_LEFT.test(piece.text) ? [piece] : byComponent(piece)));
}

/** Return *name* as one line of plain text, for titles and labels. */
export function plainly(name: Name): string {
  return pieces(name)
    .map((piece) => piece.text)
    .join("");
}

/** Return the pieces of *text*; *begins* and *ends*: nothing is before it, or behind. */
function escapedText(text: string, begins = true, ends = true): Piece[] {
  if (PLAIN.test(text) && !/^ | $|\/ /.test(text)) return text === "" ? [] : [{ text, escaped: false }]; // nearly all are
  const found: Piece[] = [];
  const all = [...text];
  all.forEach((sign, at) => {
    const isFirst = at === 0 ? begins : all[at - 1] === "/";
    const isLast = at === all.length - 1 ? ends : all[at + 1] === "/";
    const atEdge = sign === " " && (isFirst || isLast);
    if (atEdge) add(found, "␣", true);
    else if (UNSEEN.test(sign) && !joins(sign, all[at - 1], all[at + 1])) add(found, codeOf(sign), true);
    else add(found, sign, false);
  });
  return found;
}

/** Say whether a joiner does what it is for: pictures made of several, or scripts that need it. */
function joins(sign: string, before: string | undefined, after: string | undefined): boolean {
  if (!JOINERS.test(sign) || before === undefined) return false;
  if (sign === "\ufe0f") return PICTURE.test(before);
  if (after === undefined) return false;
  const inScript = /\p{L}|\p{M}/u;
  const needsIt = (each: string) => inScript.test(each) && !/\p{Script=Latin}|\p{Script=Greek}|\p{Script=Cyrillic}/u.test(each);
  return (PICTURE.test(before) && PICTURE.test(after)) || (needsIt(before) && needsIt(after));
}

function escapedBytes(bytes: Uint8Array): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  while (from < bytes.length) {
    const end = validUntil(bytes, from);
    if (end > from) {
      const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes.subarray(from, end));
      for (const piece of escapedText(text, from === 0, end === bytes.length)) add(found, piece.text, piece.escaped);
      from = end;
    } else {
      add(found, `\\x${(bytes[from] ?? 0).toString(16).padStart(2, "0")}`, true);
      from += 1;
    }
  }
  return found;
}

/** Return where the valid UTF-8 that begins at *from* ends. */
function validUntil(bytes: Uint8Array, from: number): number {
  let at = from;
  while (at < bytes.length) {
    const length = sequenceLength(bytes, at);
    if (length === 0) return at;
    at += length;
  }
  return at;
}

function sequenceLength(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const length = first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
  if (length === 0 || at + length > bytes.length) return 0;
  for (let n = 1; n < length; n++) if (((bytes[at + n] ?? 0) & 0xc0) !== 0x80) return 0;
  const second = bytes[at + 1] ?? 0;
  const wrong =
    (first === 0xe0 && second < 0xa0) ||
    (first === 0xed && second > 0x9f) ||
    (first === 0xf0 && second < 0x90) ||
    (first === 0xf4 && second > 0x8f);
  return wrong ? 0 : length;
}

function codeOf(sign: string): string {
  return SHORT[sign] ?? `\\u{${(sign.codePointAt(0) ?? 0).toString(16)}}`;
}

function add(found: Piece[], text: string, escaped: boolean): void {
  const last = found.at(-1);
  if (last !== undefined && last.escaped === escaped && !escaped) last.text += text;
  else found.push({ text, escaped });
}

/** Return a piece that is read from right to left a folder at a time: no folder must change places with another. */
function byComponent(piece: Piece): Piece[] {
  return piece.text.split(/(?<=\/)/).flatMap((part) => {
    const bare = part.endsWith("/") ? part.slice(0, -1) : part;
    const slash = part.endsWith("/") ? [{ text: "/", escaped: false }] : [];
    return bare === "" ? slash : [{ text: bare, escaped: false }, ...slash];
  });
}

/** Return the folder and the last component of *name*, apart. */
export function parted(name: Name): { folder: Name; last: Name } {
  if (name.b64 === undefined) {
    const at = name.text.replace(/\/+$/, "").lastIndexOf("/") + 1;
    return { folder: { text: name.text.slice(0, at) }, last: { text: name.text.slice(at) } };
  }
  const bytes = bytesOf(name);
  const at = bytes.lastIndexOf(0x2f) + 1;
  return { folder: ofBytes(bytes.subarray(0, at)), last: ofBytes(bytes.subarray(at)) };
}

/** Return the name that *bytes* are, as the API would show it. */
export function ofBytes(bytes: Uint8Array): Name {
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  if (validUntil(bytes, 0) === bytes.length) return { text };
  return { text, b64: btoa([...bytes].map((byte) => String.fromCharCode(byte)).join("")) };
}

/** Return *text* with its middle left out where it is longer than *most* signs. */
export function shortened(text: string, most: number): string {
  const all = [...text];
  if (all.length <= most) return text;
  const head = Math.ceil((most - 1) / 2);
  return `${all.slice(0, head).join("")}…${all.slice(all.length - (most - 1 - head)).join("")}`;
}

/** Return the name that is percent-encoded in a query. */
export function fromQuery(raw: string): Name {
  const bytes: number[] = [];
  for (let at = 0; at < raw.length; at++) {
    const code = raw[at] === "%" ? Number.parseInt(raw.slice(at + 1, at + 3), 16) : Number.NaN;
    if (Number.isNaN(code)) bytes.push(...new TextEncoder().encode(raw[at]));
    else {
      bytes.push(code);
      at += 2;
    }
  }
  return ofBytes(Uint8Array.from(bytes));
}
