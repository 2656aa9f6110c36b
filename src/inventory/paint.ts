/** How text is laid out. */
export interface FormatOptions {
  readonly color: boolean;
  /** The terminal's width in characters. */
  readonly columns: number;
}

/** Marks text for a terminal. */
export interface Paint {
  readonly dim: (text: string) => string;
  readonly bold: (text: string) => string;
  readonly cyan: (text: string) => string;
}

/** Ways to mark text, which leave it as it is without colour. */
export function paint(color: boolean): Paint {
  const mark = (on: number, off: number) => (text: string) =>
    color && text !== "" ? `\u001b[${on}m${text}\u001b[${off}m` : text;
  return { dim: mark(2, 22), bold: mark(1, 22), cyan: mark(36, 39) };
}
