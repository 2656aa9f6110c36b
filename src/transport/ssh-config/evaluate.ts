import { hostname, userInfo } from "node:os";
import type { WrittenOption } from "./options.ts";
import { matchesPatterns } from "./pattern.ts";
import type { Condition, ConfigNode } from "./read.ts";
import { fillTokens } from "./tokens.ts";

/** The host whose options are wanted. */
export interface ConfigSubject {
  /** The name given, as on ssh's command line. */
  readonly name: string;
  /** The user given; undefined: what the files say, else the current one. */
  readonly user: string | undefined;
}

interface State extends ConfigSubject {
  readonly written: WrittenOption[];
  readonly final: boolean;
  wantsFinal: boolean;
  readonly note: (text: string) => void;
}

const WITHOUT_VALUE = new Set(["all", "canonical", "final"]);

/** The options that files set for a host, in their order; `note` is told what is passed over. */
export function evaluateConfig(
  nodes: readonly ConfigNode[],
  subject: ConfigSubject,
  note: (text: string) => void,
): readonly WrittenOption[] {
  const state: State = { ...subject, written: [], final: false, wantsFinal: false, note };
  walk(nodes, state);
  if (state.wantsFinal) walk(nodes, { ...state, final: true });
  return state.written;
}

function walk(nodes: readonly ConfigNode[], state: State): void {
  for (const node of nodes) {
    if (node.kind === "option") state.written.push({ name: node.name, words: node.words });
    else if (holds(node.condition, state)) walk(node.nodes, state);
  }
}

function holds(condition: Condition, state: State): boolean {
  switch (condition.kind) {
    case "always":
      return true;
    case "host":
      return matchesPatterns(condition.patterns, state.name);
    case "match":
      return criteriaHold(condition.criteria, condition.file, state);
  }
}

function criteriaHold(words: readonly string[], file: string, state: State): boolean {
  // `Match host=web` reaches here as two words, as ssh reads it.
  let hold = true;
  for (let index = 0; index < words.length; index++) {
    const negated = words[index]!.startsWith("!");
    const name = words[index]!.replace(/^!/, "").toLowerCase();
    const value = WITHOUT_VALUE.has(name) ? "" : (words[++index] ?? "");
    // A `final` that comes after what does not hold still asks for the last pass.
    if (!hold && name !== "final") continue;
    const result = criterionHolds(name, value, file, state);
    // What cannot be evaluated holds in neither form.
    if (result === undefined || result === negated) hold = false;
  }
  return hold;
}

function criterionHolds(name: string, value: string, file: string, state: State): boolean | undefined {
  const fits = (text: string): boolean => matchesPatterns(value.split(","), text);
  switch (name) {
    case "all":
      return true;
    case "final":
      if (!state.final) state.wantsFinal = true;
      return state.final;
    case "canonical":
      // Names are never made canonical.
      return false;
    case "host":
      return fits(currentHost(state));
    case "originalhost":
      return fits(state.name);
    case "user":
      return fits(state.user ?? written(state, "user") ?? userInfo().username);
    case "localuser":
      return fits(userInfo().username);
    case "exec":
      state.note(`${file}: Match exec is passed over: Volley runs no programs to read a configuration`);
      return undefined;
    default:
      state.note(`${file}: Match ${name} is passed over: Volley does not know it`);
      return undefined;
  }
}

function currentHost(state: State): string {
  const given = written(state, "hostname");
  return given === undefined ? state.name : fillTokens(given, { h: state.name });
}

function written(state: State, name: string): string | undefined {
  return state.written.find((option) => option.name === name)?.words[0];
}

/** This machine's name, for the tokens `%l` and `%L`. */
export function localHostName(): string {
  return hostname();
}
