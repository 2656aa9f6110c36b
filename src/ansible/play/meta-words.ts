/** The texts that meta tasks show of themselves. */
export const META_TOLD: Readonly<Record<string, (host: string) => string>> = {
  noop: () => "noop",
  flush_handlers: (host) => `triggered running handlers for ${host}`,
  clear_facts: () => "facts cleared",
  clear_host_errors: () => "cleared host errors",
  refresh_inventory: () => "inventory successfully refreshed",
  reset_connection: () => "reset connection",
};

/** The texts of meta tasks that end something: where they do, and where their conditions do not hold. */
export const META_ENDS: Readonly<
  Record<string, (host: string) => { readonly done: string; readonly unless: string }>
> = {
  end_play: () => ({
    done: "ending play",
    unless: "conditional evaluated to False, continuing play",
  }),
  end_host: (host) => ({
    done: `ending play for ${host}`,
    unless: `conditional evaluated to False, continuing execution for ${host}`,
  }),
  end_batch: () => ({
    done: "ending batch",
    unless: "conditional evaluated to False, continuing current batch",
  }),
};
