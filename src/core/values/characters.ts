/**
 * Characters of foreign text that no terminal may get: C0 and C1 controls, line separators, characters that reverse or
 * hide text, and halves of surrogate pairs.
 */
export const UNSAFE =
  /[\p{Cc}\u00ad\u061c\u115f\u1160\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\u{e0000}-\u{e007f}\p{Surrogate}]/gu;
