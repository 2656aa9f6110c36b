import { didYouMean } from "../core/errors.ts";
import { isTemplate } from "../vars/scope.ts";
import { type Unit, withUses } from "./unit.ts";

/** Return a pattern of the texts that a name with templates may become. */
function patternOf(name: string): RegExp {
  const parts = name.split(/\{\{.*?\}\}|\{%.*?%\}/s);
  return new RegExp(`^${parts.map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, "\\$&")).join(".*")}$`, "s");
}

const withoutRole = (name: string): string => name.replace(/^.* : /s, "");

/** Return whether a notification may mean a handler. */
function mayMean(notified: string, handler: string): boolean {
  const called = withoutRole(notified);
  if (isTemplate(notified)) return isTemplate(handler) || patternOf(called).test(handler);
  if (isTemplate(handler)) return patternOf(handler).test(called);
  return called === handler || notified === handler;
}

/** Report notifications of handlers that nobody declares, in a play or a role with all that it brings in. */
export function checkHandlers(unit: Unit): void {
  const all = [...withUses(unit)];
  if (all.some(({ isOpen }) => isOpen)) return;
  const names = all.flatMap(({ handlers }) => [
    ...handlers.known,
    ...handlers.declared.flatMap((handler) => handler.names),
  ]);
  for (const { name, at } of all.flatMap(({ handlers }) => handlers.notified)) {
    // A name that is a template may be anything.
    if (isTemplate(name) || names.some((handler) => mayMean(name, handler))) continue;
    unit.findings.add(
      "unknown-handler",
      "error",
      at,
      `no handler has the name "${name}", or listens to it${didYouMean(name, names)}`,
      "a run fails when the task has changed something: declare the handler, or correct the name",
    );
  }
}

/** Give advice on handlers that nobody notifies in any of the units. */
export function checkUnusedHandlers(units: readonly Unit[]): void {
  const notified = units.flatMap(({ handlers }) => handlers.notified);
  for (const { handlers, findings } of units)
    for (const { names, at } of handlers.declared) {
      const [first] = names;
      if (first === undefined || notified.some(({ name }) => names.some((each) => mayMean(name, each))))
        continue;
      findings.add(
        "unused-handler",
        "hint",
        at,
        `nobody here notifies the handler "${first}"`,
        "remove it, unless playbooks or other roles notify it",
      );
    }
}
