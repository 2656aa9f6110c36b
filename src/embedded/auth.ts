import type { AuthContext, AuthenticationType, Connection, ParsedKey } from "ssh2";

/** A user who may log in with a password. */
export interface ConnectionPassword {
  readonly user: string;
  readonly password: string;
}

/** A user who may log in by answering prompts (RFC 4256). */
export interface ConnectionPrompts {
  readonly user: string;
  readonly prompts: readonly { readonly prompt: string; readonly answer: string; readonly echo?: boolean }[];
}

/** Who may log in to a host, and how. */
export interface Credentials {
  readonly user: string;
  readonly keys: readonly ParsedKey[];
  readonly passwords: readonly ConnectionPassword[];
  readonly keyboardInteractive: readonly ConnectionPrompts[];
  readonly rejectAll: boolean;
}

/** sshd's default for MaxAuthTries. */
const maxAttempts = 6;

/** Answers a connection's authentication requests as sshd does (RFC 4252), closing it after six failures. */
export function authenticate(connection: Connection, credentials: Credentials): void {
  const methods = offeredMethods(credentials);
  let failures = 0;
  const reject = (context: AuthContext): void => {
    // The "none" request is how a client asks for the list of methods: sshd does not count it.
    if (context.method !== "none") failures += 1;
    context.reject([...methods]);
    if (failures >= maxAttempts) connection.end();
  };
  connection.on("authentication", (context) => {
    if (credentials.rejectAll) reject(context);
    else if (context.method === "keyboard-interactive") askQuestions(context, credentials, reject);
    else if (isAccepted(context, credentials)) context.accept();
    else reject(context);
  });
}

function offeredMethods(credentials: Credentials): readonly AuthenticationType[] {
  return [
    "publickey",
    ...(credentials.passwords.length > 0 ? (["password"] as const) : []),
    ...(credentials.keyboardInteractive.length > 0 ? (["keyboard-interactive"] as const) : []),
  ];
}

function isAccepted(context: AuthContext, credentials: Credentials): boolean {
  if (context.method === "password") {
    const { username, password } = context;
    return credentials.passwords.some((entry) => entry.user === username && entry.password === password);
  }
  if (context.method !== "publickey" || context.username !== credentials.user) return false;
  const key = credentials.keys.find((candidate) => candidate.getPublicSSH().equals(context.key.data));
  if (key === undefined) return false;
  // Without a signature the client only asks whether the key would do.
  if (context.signature === undefined || context.blob === undefined) return true;
  return key.verify(context.blob, context.signature, context.hashAlgo) === true;
}

function askQuestions(
  context: Extract<AuthContext, { method: "keyboard-interactive" }>,
  credentials: Credentials,
  reject: (context: AuthContext) => void,
): void {
  const entry = credentials.keyboardInteractive.find(({ user }) => user === context.username);
  if (entry === undefined) {
    reject(context);
    return;
  }
  const prompts = entry.prompts.map(({ prompt, echo }) => ({ prompt, echo: echo ?? false }));
  context.prompt(prompts, (answers) => {
    // An aborted request calls back with an Error instead of answers.
    if (!Array.isArray(answers)) return;
    const right = entry.prompts.every(({ answer }, index) => answers[index] === answer);
    if (right && answers.length === entry.prompts.length) context.accept();
    else reject(context);
  });
}
