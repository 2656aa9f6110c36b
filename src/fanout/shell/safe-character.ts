/** C0 and C1 controls, and what reorders or hides the text around it. */
const UNSAFE =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: finding control characters is its purpose
  /[\x00-\x1f\x7f-\x9f\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Surrogate}]/gu;
/** A base and its marks; longer heaps of marks are there to harm. */
const MAX_CODE_POINTS = 8;

/** What a cell of a host's screen holds, as it may be written to the real terminal: one character with few marks, no controls. */
export function safeCharacter(chars: string): string {
  if (chars === "") return " ";
  if (chars.length === 1 && chars >= " " && chars <= "~") return chars;
  const safe = chars.replace(UNSAFE, "");
  if (safe === "") return " ";
  return safe.length <= MAX_CODE_POINTS ? safe : [...safe].slice(0, MAX_CODE_POINTS).join("");
}

/** Text from elsewhere that is to be written into a cell each: controls and what hides are gone. */
export function safeText(text: string): string {
  return text.replace(UNSAFE, "");
}
