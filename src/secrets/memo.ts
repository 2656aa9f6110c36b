/** The function, called once for each argument: at the same time or later, everybody gets the same answer. */
export function memoOf<A, R>(work: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  const answers = new Map<A, Promise<R>>();
  return (argument) => {
    let answer = answers.get(argument);
    if (answer === undefined) {
      answer = work(argument);
      answers.set(argument, answer);
    }
    return answer;
  };
}

/** The function, with no more than `limit` calls at work at a time. */
export function limited<A, R>(limit: number, work: (argument: A) => Promise<R>): (argument: A) => Promise<R> {
  const waiting: (() => void)[] = [];
  let free = limit;
  return async (argument) => {
    if (free > 0) free--;
    else await new Promise<void>((go) => waiting.push(go));
    try {
      return await work(argument);
    } finally {
      const next = waiting.shift();
      if (next === undefined) free++;
      else next();
    }
  };
}
