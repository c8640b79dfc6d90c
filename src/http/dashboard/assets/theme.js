// Light, dark, or as the system has it.

const KEY = 'acgs.theme';
const CHOICES = ['system', 'light', 'dark'];
const isDark = matchMedia('(prefers-color-scheme: dark)');
const listeners = new Set();

function stored() {
  try {
    return localStorage.getItem(KEY);
  } catch {
    return null;
  }
}

function apply(choice) {
  if (choice === 'system') delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = choice;
  listeners.forEach((listener) => listener());
}

/** Called after each change of colours. */
export function whenColoursChange(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** The value of a colour of the style sheet. */
export function colour(name) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Puts the choice of the user in force, and follows the control. */
export function startTheme(select) {
  const choice = CHOICES.includes(stored()) ? stored() : 'system';
  select.value = choice;
  apply(choice);
  select.addEventListener('change', () => {
    try {
      localStorage.setItem(KEY, select.value);
    } catch {
      // Without storage the choice lasts as long as the page.
    }
    apply(select.value);
  });
  isDark.addEventListener('change', () => listeners.forEach((listener) => listener()));
}
