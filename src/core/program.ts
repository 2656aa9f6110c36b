/** A play that decides by itself which tasks to do, instead of roles that declare them: Ansible's YAML. */
export interface PlayProgram {
  /** The names of its roles, in order. */
  readonly roles: readonly string[];
  /** The names of the actions it may reach. */
  readonly actions: readonly string[];
  /** The number of its tasks, as far as it is known before it runs. */
  readonly estimate: number;
  /** Carry the play out; the engine gives `host`, a `ProgramHost` of `engine/program.ts`. */
  run(host: never): Promise<unknown>;
}
