"""The Gymnasium world: scene, task, operator, surfaces, recorder and scoring."""
