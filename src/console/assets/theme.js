// Before anything is painted: the colours that the reader chose, where they differ from the system's.
(() => {
  'use strict';
  try {
    const theme = localStorage.getItem('memberflow-theme');
    if (theme === 'light' || theme === 'dark') document.documentElement.dataset.theme = theme;
  } catch { /* As the system says. */ }
})();
