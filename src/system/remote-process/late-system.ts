import type { System } from "../../core/system.ts";
import { SYSTEM_CALLS } from "./messages.ts";

/** A System that is begun when it is first asked for anything; `ids` answers who it is before that. */
export function createLateSystem(
  begin: () => Promise<System>,
  ids: () => { readonly uid: number; readonly gid: number },
): System {
  const methods = Object.fromEntries(
    SYSTEM_CALLS.map((call) => [
      call,
      async (...args: readonly unknown[]) => {
        const system = await begin();
        return (system[call] as (...given: readonly unknown[]) => unknown)(...args);
      },
    ]),
  );
  return {
    ...methods,
    get uid() {
      return ids().uid;
    },
    get gid() {
      return ids().gid;
    },
  } as unknown as System;
}
