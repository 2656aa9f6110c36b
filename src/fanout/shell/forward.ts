import type { KeyModes } from "./emulator.ts";
import type { InputToken } from "./input-parser.ts";

const ESC = 0x1b;
const PASTE_START = "\x1b[200~";
const PASTE_END = "\x1b[201~";
const CURSOR_KEYS = /^.[[O]([ABCDHF])$/;

/**
 * The bytes a host gets for what was typed: as they came, but cursor keys in the form its program asked for (DECCKM),
 * and pastes with brackets where its program wants them, else with carriage returns for line ends, as a terminal does.
 */
export function bytesFor(tokens: readonly InputToken[], modes: KeyModes): Buffer {
  return Buffer.concat(
    tokens.map((token) =>
      token.kind === "paste" ? pasteBytes(token.bytes, modes) : keyBytes(token.bytes, modes),
    ),
  );
}

function keyBytes(bytes: Buffer, { applicationCursorKeys }: KeyModes): Buffer {
  if (bytes.length !== 3 || bytes[0] !== ESC) return bytes;
  const key = CURSOR_KEYS.exec(bytes.toString("latin1"))?.[1];
  return key === undefined ? bytes : Buffer.from(`\x1b${applicationCursorKeys ? "O" : "["}${key}`);
}

function pasteBytes(bytes: Buffer, { bracketedPaste }: KeyModes): Buffer {
  // Latin-1 keeps every byte as it is. A bracket inside would let what follows it be taken for typed.
  const text = bytes.toString("latin1").replaceAll(PASTE_END, "").replace(/\r?\n/g, "\r");
  return Buffer.from(bracketedPaste ? `${PASTE_START}${text}${PASTE_END}` : text, "latin1");
}
