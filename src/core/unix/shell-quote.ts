/** Quote a word for a POSIX shell. */
export function quote(word: string): string {
  return /^[\w@%+=:,./-]+$/.test(word) ? word : `'${word.replaceAll("'", "'\\''")}'`;
}

/** Characters that stand for themselves between apostrophes in sh, csh, tcsh, fish and every other login shell. */
const PLAIN = /^[ "-&(-[\]-~]*$/;
/** Characters to write as octal numbers between quotation marks. */
const ODD = /[^ #%&(-[\]-_a-~]/gu;

/**
 * The line that has a script carried out by `/bin/sh`, whatever login shell it is given to: csh takes no newline between
 * apostrophes and puts earlier commands in the place of `!`, fish halves backslashes, and tcsh runs what stands behind
 * a quoted newline. So none of these is on the line: where the script holds one, its bytes are written as octal numbers.
 */
export function loginShellLine(script: string): string {
  if (PLAIN.test(script)) return `exec /bin/sh -c '${script}'`;
  return `exec /bin/sh -c 'eval "$(printf %b "${script.replace(ODD, octal)}")"'`;
}

/** For `printf %b`: each byte of a character. */
function octal(character: string): string {
  const bytes = Array.from(new TextEncoder().encode(character));
  return bytes.map((byte) => `\\0${byte.toString(8).padStart(3, "0")}`).join("");
}
