import { type SourceLocation, VolleyError } from "../../core/errors.ts";
import { printable } from "../../core/text.ts";
import { matchTokens } from "./tokenize.ts";

/** One criterion of a Match line. */
export interface Criterion {
  readonly name: CriterionName;
  readonly negated: boolean;
  /** A pattern-list, or a command; empty for `all`, `canonical` and `final`. */
  readonly value: string;
}

const WITHOUT_VALUE = ["all", "canonical", "final"] as const;
const WITH_VALUE = ["host", "originalhost", "user", "localuser", "exec", "tagged", "localnetwork"] as const;
/** Of OpenSSH 10: only the `ssh` that runs can say. */
const OF_THE_PROGRAM = ["version", "sessiontype", "command"] as const;
type CriterionName =
  | (typeof WITHOUT_VALUE)[number]
  | (typeof WITH_VALUE)[number]
  | (typeof OF_THE_PROGRAM)[number];

/** Reads what stands behind Match (ssh_config(5)). Fails with `USAGE`. */
export function parseCriteria(text: string, where: SourceLocation): readonly Criterion[] {
  const criteria: Criterion[] = [];
  const tokens = matchTokens(text);
  const refuse = (what: string): never => {
    throw new VolleyError("USAGE", `ssh_config: Match: ${what}`, { location: where });
  };
  for (const token of tokens) {
    if (token.startsWith("#")) break;
    const negated = token.startsWith("!");
    const written = negated ? token.slice(1) : token;
    const name = [...WITHOUT_VALUE, ...WITH_VALUE, ...OF_THE_PROGRAM].find(
      (each) => each === written.toLowerCase(),
    );
    if (name === undefined) return refuse(`there is no criterion ${printable(JSON.stringify(written), 100)}`);
    if (name === "all") {
      const next = tokens.next().value;
      // `Match final all` is how one says: at the end, everywhere.
      if (criteria.length > 1 || (next !== undefined && !next.startsWith("#")))
        return refuse("all cannot stand beside other criteria");
      return [...criteria, { name, negated, value: "" }];
    }
    if (WITHOUT_VALUE.some((each) => each === name)) criteria.push({ name, negated, value: "" });
    else {
      const value = tokens.next().value;
      if (value === undefined || value.startsWith("#")) return refuse(`${name} has no argument`);
      criteria.push({ name, negated, value });
    }
  }
  return criteria.length === 0 ? refuse("a criterion is missing") : criteria;
}
