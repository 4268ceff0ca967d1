// What pages do beyond links and forms. Nothing depends on it.
(() => {
  'use strict';

  // Moments in the reader's own time; UTC stays in the title.
  const here = new Intl.DateTimeFormat(undefined, {
    year: 'numeric', month: '2-digit', day: '2-digit', hour: '2-digit', minute: '2-digit',
  });
  const localize = (root) => {
    for (const time of root.querySelectorAll('time[datetime]')) {
      const moment = new Date(time.dateTime);
      if (!Number.isNaN(moment.getTime())) time.textContent = here.format(moment);
    }
  };
  localize(document);
  document.addEventListener('htmx:after:swap', () => localize(document));
})();
