import { drawFrom } from "../fuzz/lib/random.ts";

/** Shells that accounts have; where one is not installed, its tests are skipped. */
export const LOGIN_SHELLS: readonly string[] = [
  "/bin/sh",
  "/bin/bash",
  "/bin/dash",
  "/bin/csh",
  "/bin/tcsh",
  "/bin/ksh",
  "/bin/zsh",
  "/usr/bin/fish",
];

/** Words that mean something to one shell or another. */
export const NASTY_WORDS: readonly string[] = [
  "a b",
  "it's",
  "''",
  "a\ntouch /tmp/pwned #",
  "\n",
  "a!b !! !$ !-1",
  "\\",
  "\\\\",
  "x\\",
  "\\'",
  "\\n \\0047 \\c",
  `$HOME $(id) \`id\` $\{x}`,
  "%s %b %1 %%",
  "*?[a-z]{a,b}~",
  "~root",
  "a;b|c&d<e>f",
  "#",
  "-n",
  "--",
  '"',
  "\"'\"'",
  "^a^b^",
  "\t\x01\x1b[0m\x7f",
  "é ü 日本 😀",
  "\u0085\u2028",
  " lead and trail ",
  "=ls",
  "@(a|b)",
  "(true)",
  "",
];

/** Words made of what shells take for something else. */
export function nastyWords(count: number, seed: number): readonly string[] {
  const draw = drawFrom(seed);
  const pieces = [
    ..."'\"\\!\n\t $`*?[]{}()<>|&;#~^%=@:,-+.aZ0",
    "\\\\",
    "\\'",
    "'\\''",
    "!!",
    "$'",
    "é",
    "\r",
  ];
  return Array.from({ length: count }, () =>
    Array.from({ length: 1 + draw.below(12) }, () => draw.pick(pieces)).join(""),
  );
}
