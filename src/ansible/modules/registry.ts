import { argumentProblem } from "../../actions/argument-problem.ts";
import { coerceArguments } from "../../actions/coerce.ts";
import type { Action } from "../../actions/define.ts";

/** An action of Volley's, called with Ansible's arguments. */
type AnyAction = Action<never, unknown>;

/** The actions that modules stand for. */
export interface Modules {
  /** Return the action of a module; undefined for a module that nobody has. */
  find(name: string): AnyAction | undefined;
  /** Return the names of all actions. */
  names(): readonly string[];
  /** Give arguments the types of the action's parameters. */
  coerce(action: AnyAction, args: Readonly<Record<string, unknown>>): never;
  /** Say what is wrong with coerced arguments in Ansible's words; undefined for nothing. */
  problem(action: AnyAction, args: Readonly<Record<string, unknown>>): string | undefined;
}

/** Modules whose action has another name. */
const RENAMED: Readonly<Record<string, string>> = {
  systemd_service: "systemd",
  // Its name before community.crypto 2.0.
  openssl_certificate: "x509_certificate",
};

/** Make the registry of what `volley` exports, by name; each is loaded when it is first asked for. */
export function createModules(volley: Readonly<Record<string, unknown>>): Modules {
  const at = (name: string): AnyAction | undefined => {
    const found = Object.hasOwn(volley, name) || name in volley ? volley[name] : undefined;
    return typeof found === "function" && "description" in found
      ? (found as unknown as AnyAction)
      : undefined;
  };
  return {
    find: (name) => at(name) ?? at(RENAMED[name] ?? name),
    names: () => Object.keys(volley).filter((name) => at(name) !== undefined),
    coerce: (action, args) => coerceArguments(action, args) as never,
    problem: argumentProblem,
  };
}
