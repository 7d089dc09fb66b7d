// The code that draws widgets calls MathJax 2; the book has MathJax 3. This gives it the one call that it makes.
// Registered in the head, so it runs before the listener of the widgets' code.
window.addEventListener("load", () => {
  const mathjax = window.MathJax;
  if (mathjax && !mathjax.Hub) {
    mathjax.Hub = {
      Queue: ([, , element]) => element && mathjax.typesetPromise && mathjax.typesetPromise([element]),
    };
  }
});
