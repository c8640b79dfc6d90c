// Repeats a task, such as a request, while the page is seen.

/**
 * Runs the task at once, and again `ms` milliseconds after each end, so that no two runs overlap. Nothing runs while the
 * page is hidden; when it is shown again, a run that became due follows at once. Answers a function that ends this.
 */
export function every(ms, task) {
  let timer = null;
  let isRunning = false;
  let isOver = false;
  const run = async () => {
    timer = null;
    if (isOver || isRunning || document.hidden) return;
    isRunning = true;
    try {
      await task();
    } finally {
      isRunning = false;
      if (!isOver) timer = setTimeout(run, ms);
    }
  };
  const shown = () => timer === null && run();
  document.addEventListener('visibilitychange', shown);
  run();
  return () => {
    isOver = true;
    clearTimeout(timer);
    document.removeEventListener('visibilitychange', shown);
  };
}
