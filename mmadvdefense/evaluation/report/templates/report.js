// Sorts a table by the column whose head is clicked, and hides the rows that lack a word of the filter.
(() => {
  'use strict';
  const missing = (text) => text === '' || text === '-';
  const compare = (a, b) => {
    const [x, y] = [parseFloat(a), parseFloat(b)];
    if (!isNaN(x) && !isNaN(y)) return x - y;
    if (isNaN(x) !== isNaN(y)) return isNaN(x) ? 1 : -1;
    return a.localeCompare(b, undefined, {numeric: true});
  };

  const sort = (table, column, direction) => {
    const body = table.tBodies[0];
    const text = (row) => row.cells[column].textContent.trim();
    const rows = [...body.rows].sort((one, other) => {
      if (direction === 0) return one.dataset.place - other.dataset.place;
      const [a, b] = [text(one), text(other)];
      // What is missing is last, whatever the direction.
      if (missing(a) || missing(b)) return missing(a) - missing(b);
      return direction * compare(a, b);
    });
    body.append(...rows);
  };

  const tables = [...document.querySelectorAll('table[data-title]')];
  for (const table of tables) {
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      const button = document.createElement('button');
      button.type = 'button';
      button.title = 'sort';
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener('click', () => {
        // The lowest number first, for a defense is worth its lowest; then the highest; then the first order again.
        const next = {ascending: 'descending', descending: 'none'}[head.getAttribute('aria-sort')] || 'ascending';
        for (const other of heads) other.removeAttribute('aria-sort');
        if (next !== 'none') head.setAttribute('aria-sort', next);
        sort(table, column, next === 'ascending' ? 1 : next === 'descending' ? -1 : 0);
      });
    });
  }

  const bar = document.querySelector('.bar');
  const input = bar.querySelector('input');
  const said = bar.querySelector('output');
  const filter = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    let shown = 0, all = 0;
    for (const table of tables) {
      // The heading counts: 'adaptive' finds all rows of the table of that threat model.
      const title = (table.dataset.title || '').toLowerCase();
      for (const row of table.tBodies[0].rows) {
        const text = title + ' ' + row.textContent.toLowerCase();
        row.hidden = !words.every((word) => text.includes(word));
        shown += !row.hidden;
        all += 1;
      }
    }
    said.textContent = words.length ? shown + ' of ' + all + ' rows' : '';
  };
  input.addEventListener('input', filter);
  bar.hidden = false;
  // A link may lead into a part that is closed.
  const open = () => {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    if (target) { target.closest('details')?.setAttribute('open', ''); target.scrollIntoView(); }
  };
  window.addEventListener('hashchange', open);
  open();
  filter();
})();
