import * as v from "valibot";

// Rules about which parameters go together, in the words of Ansible's argument specifications: playbooks look for them.

const isGiven = (params: object, name: string): boolean =>
  (params as Readonly<Record<string, unknown>>)[name] !== undefined;

/** Allow one of these parameters at most. */
export function exclusive<T extends object>(...names: readonly (keyof T & string)[]) {
  return v.check<T, string>(
    (params) => names.filter((name) => isGiven(params, name)).length < 2,
    `parameters are mutually exclusive: ${names.join("|")}`,
  );
}

/** Want one of these parameters at least. */
export function oneRequired<T extends object>(...names: readonly (keyof T & string)[]) {
  return v.check<T, string>(
    (params) => names.some((name) => isGiven(params, name)),
    `one of the following is required: ${names.join(", ")}`,
  );
}

/** Want all of these parameters, or none. */
export function requiredTogether<T extends object>(...names: readonly (keyof T & string)[]) {
  return v.check<T, string>(
    (params) => new Set(names.map((name) => isGiven(params, name))).size === 1,
    `parameters are required together: ${names.join(", ")}`,
  );
}

/** Want these parameters where another one is given. */
export function requiredBy<T extends object>(
  giver: keyof T & string,
  ...names: readonly (keyof T & string)[]
) {
  return v.check<T, v.ErrorMessage<v.CheckIssue<T>>>(
    (params) => !isGiven(params, giver) || names.every((name) => isGiven(params, name)),
    ({ input }) => `missing parameter(s) required by '${giver}': ${missing(input, names)}`,
  );
}

/** Want these parameters where another one has one of some values. */
export function requiredIf<T extends object>(
  giver: keyof T & string,
  values: readonly unknown[],
  ...names: readonly (keyof T & string)[]
) {
  return v.check<T, v.ErrorMessage<v.CheckIssue<T>>>(
    (params) => !values.includes(params[giver]) || names.every((name) => isGiven(params, name)),
    ({ input }) =>
      `${giver} is ${String(input[giver])} but all of the following are missing: ${missing(input, names)}`,
  );
}

function missing(params: object, names: readonly string[]): string {
  return names.filter((name) => !isGiven(params, name)).join(", ");
}
