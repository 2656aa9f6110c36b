import type { Frame } from "nunjucks/src/runtime.js";
import { fail } from "./errors.ts";
import { Attributes, Func, type Keywords, tuple, Undefined } from "./values.ts";

/** A macro's signature, and which of Jinja's special variables its body reads. */
export interface MacroSignature {
  readonly name: string;
  readonly parameters: readonly {
    readonly name: string;
    readonly fallback: ((frame: Frame) => unknown) | null;
  }[];
  readonly varargs: boolean;
  readonly kwargs: boolean;
  readonly caller: boolean;
}

function bind(frame: Frame, signature: MacroSignature, args: readonly unknown[], keywords: Keywords): void {
  const { name, parameters } = signature;
  const left = new Map(Object.entries(keywords));
  const caller = left.get("caller");
  if (!parameters.some((parameter) => parameter.name === "caller")) left.delete("caller");
  parameters.forEach((parameter, index) => {
    let value = args[index];
    if (index < args.length) {
      if (left.has(parameter.name))
        fail(`macro '${name}' got two values for its argument '${parameter.name}'`);
    } else if (left.has(parameter.name)) {
      value = left.get(parameter.name);
      left.delete(parameter.name);
    } else {
      value =
        parameter.fallback?.(frame) ??
        (parameter.fallback ? null : new Undefined(`parameter '${parameter.name}' was not provided`));
    }
    frame.set(parameter.name, value);
  });
  if (args.length > parameters.length && !signature.varargs)
    fail(`macro '${name}' takes not more than ${parameters.length} argument(s)`);
  const [unexpected] = left.keys();
  if (unexpected !== undefined && !signature.kwargs)
    fail(`macro '${name}' takes no keyword argument '${unexpected}'`);
  if (caller !== undefined && !signature.caller)
    fail(`macro '${name}' was called with a call block, but never uses caller`);
  if (signature.varargs) frame.set("varargs", tuple(...args.slice(parameters.length)));
  if (signature.kwargs) frame.set("kwargs", left);
  if (signature.caller && !parameters.some((parameter) => parameter.name === "caller")) {
    frame.set(
      "caller",
      caller ?? new Undefined("this macro was not called with a call block, so it has no caller"),
    );
  }
}

/** A macro as a value: callable, and with the attributes Jinja gives it. */
export function macro(frame: Frame, signature: MacroSignature, body: (frame: Frame) => string): Attributes {
  const call = new Func(signature.name, (args, keywords) => {
    const inner = frame.push();
    bind(inner, signature, args, keywords);
    return body(inner);
  });
  const attributes: Readonly<Record<string, unknown>> = {
    __call__: call,
    name: signature.name,
    arguments: tuple(...signature.parameters.map((parameter) => parameter.name)),
    catch_varargs: signature.varargs,
    catch_kwargs: signature.kwargs,
    caller: signature.caller,
  };
  return new Attributes("Macro", (key) => (Object.hasOwn(attributes, key) ? attributes[key] : undefined));
}
