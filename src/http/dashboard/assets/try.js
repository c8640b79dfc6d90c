// The part `Try`: asks a question without recording a decision, and explains the answer policy by policy.

import { post } from './api.js';
import { el, empty, fault, fill, setText, whileBusy } from './dom.js';
import { explanation } from './explanation.js';
import { pretty } from './format.js';
import { parseExact } from './json.js';
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
    { role: 'region', 'aria-label': 'Answer', 'aria-live': 'polite' },
    empty('Ask a question, and the answer appears here, explained policy by policy.'),
  );
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
    try {
      const question = parseExact(editor.value);
      if (question === null || typeof question !== 'object' || Array.isArray(question))
        throw new SyntaxError('it must be an object');
      setText(message, '');
      editor.removeAttribute('aria-invalid');
      return question;
    } catch (error) {
      setText(message, `The question is not JSON: ${error.message}`);
      editor.setAttribute('aria-invalid', 'true');
      return null;
    }
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
    question[member] = { ...question[member], [name]: input.value };
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
  const suggest = () => {
    for (const list of ['subjectTypes', 'resourceTypes', 'actions']) options(list, known[list]);
    for (const [list, { input }] of [
      ['subjects', inputs[0]],
      ['resources', inputs[3]],
    ]) {
      if ([...known.subjectTypes, ...known.resourceTypes].includes(input.value))
        idsOf(input.value, known.entities).then((ids) => options(list, ids));
    }
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
    try {
      fill(answer, explanation(await post('v1/explain', text)));
    } catch (error) {
      fill(answer, fault(error));
    }
  };
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    // The text is sent as it is: large integers would be rounded otherwise.
    if (parsed()) whileBusy(ask, () => answerTo(editor.value));
    else editor.focus();
  });
  place.append(el('div.try', {}, form, el('section.panel', {}, el('h3', {}, 'Answer'), answer)));
  toFields();
  vocabulary().then((names) => {
    known = names;
    suggest();
  });
  return undefined;
}
