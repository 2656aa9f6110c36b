/** Splits one line into lines of at most `width` columns, breaking at blanks, after hyphens and, if need be, inside words. */
export function wrapText(
  line: string,
  width: number,
  breakLongWords: boolean,
  breakOnHyphens: boolean,
): string[] {
  const pattern = breakOnHyphens
    ? /\s+|[^\s-]*\p{L}-(?=\p{L}{2})|\S+?(?=\s|$|(?<=\p{L}-)\p{L}{2})/gu
    : /\s+|\S+/gu;
  const chunks = line.match(pattern) ?? [];
  const lines: string[] = [];
  let current = "";
  const flush = (): void => {
    if (current.trimEnd() !== "") lines.push(current.trimEnd());
    current = "";
  };
  for (let chunk of chunks) {
    if (current === "" && lines.length > 0 && chunk.trim() === "") continue;
    if (current.length + chunk.length > width) {
      if (chunk.trim() === "") {
        flush();
        continue;
      }
      if (chunk.length <= width || !breakLongWords) flush();
      while (breakLongWords && current.length + chunk.length > width) {
        const room = Math.max(1, width - current.length);
        current += chunk.slice(0, room);
        chunk = chunk.slice(room);
        flush();
      }
    }
    current += chunk;
  }
  flush();
  return lines;
}
