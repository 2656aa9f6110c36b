export { assert } from "./assert.ts";
export { debug } from "./debug.ts";
export { fail } from "./fail.ts";
export { noop } from "./noop.ts";
export { pause } from "./pause.ts";
export { wait_for } from "./wait-for.ts";
export { wait_for_connection } from "./wait-for-connection.ts";
