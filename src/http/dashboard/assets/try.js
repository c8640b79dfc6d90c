// The part `Try`: asks a question without recording a decision, and explains the answer policy by policy.

import { post } from './api.js';
import { el, empty, fault, fill, setText, whileBusy } from './dom.js';
import { explanation } from './explanation.js';
import { pretty } from './format.js';
import { parseExact } from './json.js';
import { go } from './router.js';
import { has, missingScope, session } from './session.js';
import { idsOf, vocabulary } from './vocabulary.js';

const EXAMPLES = {
  'An agent calls a tool of low risk': {
    subject: { type: 'Agent', id: 'helper' },
    action: { name: 'call_tool' },
    resource: { type: 'Tool', id: 'unit-converter', properties: { risk: 1 } },
  },
  'An agent deploys a risky model': {
    subject: { type: 'Agent', id: 'builder' },
    action: { name: 'deploy_model' },
    resource: { type: 'Model', id: 'm1' },
    context: { risk: 8, human_approved: false },
  },
};
const FIELDS = [
  { label: 'Subject type', path: ['subject', 'type'], list: 'subjectTypes' },
  { label: 'Subject id', path: ['subject', 'id'], list: 'subjects' },
  { label: 'Action', path: ['action', 'name'], list: 'actions' },
  { label: 'Resource type', path: ['resource', 'type'], list: 'resourceTypes' },
  { label: 'Resource id', path: ['resource', 'id'], list: 'resources' },
];

/** The question of the last visit, as text. */
let kept = pretty(EXAMPLES['An agent calls a tool of low risk']);

/** Goes to this part with a question to be changed. */
export function changeInTry(question) {
  kept = pretty(question);
  go('try');
}

export function show(place) {
  fill(place, el('h2', {}, 'Try'));
  if (!has('read')) return void place.append(empty(missingScope(['read'], 'A dry run')));
  if (session().user === null)
    return void place.append(empty('Sign in to ask a question: without a login this page only reads.'));
  const editor = el('textarea', {
    id: 'question',
    rows: '16',
    spellcheck: 'false',
    autocomplete: 'off',
    'aria-describedby': 'question-fault',
  });
  editor.value = kept;
  const message = el('p.fault', { id: 'question-fault', role: 'status' });
  const answer = el(
    'div.answer',
    {},
    empty('Ask a question, and the answer appears here, explained policy by policy.'),
  );
  const heading = el('h3', { tabindex: '-1' }, 'Answer');
  const status = el('p.hidden-text', { role: 'status' });
  const lists = Object.fromEntries(
    ['subjectTypes', 'resourceTypes', 'actions', 'subjects', 'resources'].map((name) => [
      name,
      el('datalist', { id: `known-${name}` }),
    ]),
  );
  const inputs = FIELDS.map((field) => ({
    ...field,
    input: el('input', {
      list: `known-${field.list}`,
      autocomplete: 'off',
      spellcheck: 'false',
      autocapitalize: 'none',
    }),
  }));
  const ask = el('button.primary', {}, 'Ask');

  const parsed = () => {
    const { question, error } = questionIn(editor.value);
    setText(message, error ?? '');
    if (error) editor.setAttribute('aria-invalid', 'true');
    else editor.removeAttribute('aria-invalid');
    return question ?? null;
  };
  const toFields = () => {
    editor.rows = Math.min(30, Math.max(12, editor.value.split('\n').length + 1));
    const question = parsed();
    if (!question) return;
    for (const { path, input } of inputs) input.value = question[path[0]]?.[path[1]] ?? '';
    suggest();
  };
  const fromField = ({ path: [member, name], input }) => {
    const question = parsed();
    if (!question) return;
    question[member] = { ...(isObject(question[member]) ? question[member] : {}), [name]: input.value };
    editor.value = pretty(question);
    kept = editor.value;
    suggest();
  };
  let known = { actions: [], subjectTypes: [], resourceTypes: [], entities: [] };
  const options = (list, values) =>
    fill(
      lists[list],
      values.map((value) => el('option', { value })),
    );
  // The ids of the type that is in the field now; those of a former one may come later.
  const suggestIds = async (list, input) => {
    const type = input.value;
    const isType = [...known.subjectTypes, ...known.resourceTypes].includes(type);
    const ids = isType ? await idsOf(type, known.entities) : [];
    if (input.value === type) options(list, ids);
  };
  const suggest = () => {
    for (const list of ['subjectTypes', 'resourceTypes', 'actions']) options(list, known[list]);
    suggestIds('subjects', inputs[0].input);
    suggestIds('resources', inputs[3].input);
  };

  const form = el(
    'form.question.panel',
    {},
    el(
      'div.examples',
      {},
      el('span.quiet', {}, 'Examples: '),
      Object.entries(EXAMPLES).map(([name, question]) =>
        el(
          'button.plain',
          {
            type: 'button',
            onclick: () => {
              editor.value = kept = pretty(question);
              toFields();
            },
          },
          name,
        ),
      ),
    ),
    el(
      'div.question-fields',
      {},
      inputs.map((field) => {
        field.input.addEventListener('input', () => fromField(field));
        return el('label', {}, field.label, field.input);
      }),
    ),
    el('label', { for: 'question' }, 'The question as JSON, with properties and context'),
    editor,
    message,
    el(
      'p',
      {},
      ask,
      el(
        'span.quiet',
        {},
        ' A dry run: it is decided under the constitution in force, and not recorded as a decision.',
      ),
    ),
    Object.values(lists),
  );
  editor.addEventListener('input', () => {
    kept = editor.value;
    toFields();
  });
  const answerTo = async (text) => {
    setText(status, 'Asking …');
    try {
      const explained = await post('v1/explain', text);
      fill(answer, explanation(explained));
      setText(status, `Answered: ${explained.decision ? 'permit' : 'deny'}.`);
      heading.focus();
    } catch (error) {
      fill(answer, fault(error));
      setText(status, '');
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    // The text is sent as it is: large integers would be rounded otherwise.
    if (parsed()) whileBusy(ask, () => answerTo(editor.value));
    else editor.focus();
  });
  place.append(el('div.try', {}, form, el('section.panel', {}, heading, status, answer)));
  toFields();
  vocabulary().then((names) => {
    known = names;
    suggest();
  });
  return undefined;
}

const isObject = (value) => value !== null && typeof value === 'object' && !Array.isArray(value);

/** `{question}` of a text, or `{error}`, a sentence. */
export function questionIn(text) {
  try {
    const question = parseExact(text);
    return isObject(question) ? { question } : { error: 'The question must be a JSON object, in braces.' };
  } catch (error) {
    return { error: `The question is not JSON: ${error.message}` };
  }
}
