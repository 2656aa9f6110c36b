/** Why a secret cannot be had, in words that go on a sentence naming it; whoever knows the var and the file makes an error of it. */
export class SecretProblem extends Error {
  override readonly name = "SecretProblem";
  readonly hint: string | undefined;

  constructor(message: string, hint?: string, cause?: unknown) {
    super(message, cause === undefined ? undefined : { cause });
    this.hint = hint;
  }
}
