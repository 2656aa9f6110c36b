import type { KeyboardInteractiveAuthMethod } from "ssh2";

/**
 * Answers the one question a host asks for a password by (RFC 4256), once; `onOther` is told of a question that a
 * password is no answer to.
 */
export function answerPrompts(
  password: string,
  onOther: (question: string) => void,
): KeyboardInteractiveAuthMethod["prompt"] {
  let answered = false;
  return (_name, _instructions, _language, prompts, finish) => {
    const [only] = prompts;
    if (prompts.length === 1 && only?.echo !== true && !answered) {
      answered = true;
      finish([password]);
      return;
    }
    // Asked again, the password was wrong; once more would count as another failure.
    if (!answered)
      onOther((prompts.find(({ echo }) => echo === true) ?? prompts.at(-1))?.prompt.trim() ?? "");
    finish(prompts.map(() => ""));
  };
}
