/**
 * Thrown, in check mode, by whatever asks a result that check mode cannot know. What asked is then unknown too,
 * instead of going on with a guess.
 */
export class UnknownInCheckMode extends Error {
  override readonly name = "UnknownInCheckMode";
}

/** Thrown by awaiting a task that ended its role: it unwinds the role's own code, `finally` blocks included. */
export class RoleStopped extends Error {
  override readonly name = "RoleStopped";
}
