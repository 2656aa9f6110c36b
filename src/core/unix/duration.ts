const UNITS_S: Readonly<Record<string, number>> = { "": 1, s: 1, m: 60, h: 3_600, d: 86_400, w: 604_800 };

/** Parse a time such as `10`, `90s` or `1m30s` into seconds (sshd_config(5), TIME FORMATS); undefined for other text. */
export function parseSeconds(text: string): number | undefined {
  if (text === "" || !/^(?:\d+[smhdw])*\d*$/i.test(text)) return undefined;
  let seconds = 0;
  for (const [, amount, unit] of text.toLowerCase().matchAll(/(\d+)([smhdw]?)/g))
    seconds += Number(amount) * UNITS_S[unit!]!;
  return seconds < 2 ** 31 ? seconds : undefined;
}
